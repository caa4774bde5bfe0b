"""The job `words` over a real topic: each line once, whatever becomes of the topic."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lake_assets.io_managers import stream as stream_io_manager
from lake_assets.lake.contract import MAIN
from lake_assets.outbox.contract import Update
from lake_assets.runs.rollback import plan_rollback, roll_back
from lake_assets.spark.jars import JarsUnavailable
from lake_assets.spark.session import generate_no_code
from lake_assets_tests.conftest import kafka_connector
from lake_assets_tests.defs.words.stream import COUNTS, LINES, Stream, error
from lake_assets_tests.defs.words.test_word_counts import failed_checks
from lake_assets_tests.defs.words.topic import NEXT, TopicStream
from lake_assets_tests.graph_fixtures import Graph
from lake_assets_tests.kafka_broker import KafkaBroker, own_broker, remove, unavailable

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.services

MakeStream = Callable[..., TopicStream]


@pytest.fixture
def make_stream(kafka: KafkaBroker, make_graph: Callable[..., Graph], tmp_path: Path) -> MakeStream:
    """Return a function that makes the stream of words over a fresh topic."""
    try:
        kafka_connector()
    except JarsUnavailable as reason:
        unavailable(str(reason))
    return lambda partitions=1, **config: TopicStream(kafka, make_graph, tmp_path, partitions, **config)


def updates(**counts: int | None) -> list[Update]:
    return [Update(word, counts[word]) for word in sorted(counts)]


def test_the_walk_through_and_what_may_become_of_its_topic(make_stream: MakeStream) -> None:
    stream = make_stream(partitions=2, max_message_bytes=str(2 << 20))
    lake = stream.graph.lake
    stream.send(*LINES[:3], partition=0, at=datetime(2026, 11, 22, 10, 0, 5, tzinfo=timezone.utc))
    stream.send(*LINES[3:], partition=1, at=datetime(2026, 11, 22, 10, 1, 5, tzinfo=timezone.utc))
    stream.go()
    assert stream.counts() == COUNTS
    windows = stream.windows()
    assert (windows["10:00:00", "dog"], windows["10:01:00", "dog"], len(windows)) == (2, 2, 12)
    seen = [Update(word, COUNTS[word]) for word in sorted(COUNTS)]
    assert stream.delivered() == seen
    first = lake.head(MAIN).id

    # How far it was read stands in the commit and beside the counts.
    stream.send("kafka", partition=1)
    stream.go(*NEXT)
    counts = COUNTS | {"kafka": 1}
    assert (stream.counts(), stream.changes()) == (counts, {"kafka": 1})
    seen += updates(kafka=1)
    assert stream.delivered() == seen
    state, position, committed = stream.state(), stream.position(), stream.committed()
    assert position.offsets == json.loads(committed["stream/offsets"]) == {"0": 3, "1": 3}
    assert position.source_id == committed["stream/source_id"] == state.id
    assert position.source == committed["stream/source"] == stream.address

    # A partition more; values of every kind.
    stream.broker.grow(stream.topic, 3)
    stream.send("dog grown", partition=2)
    stream.send(None, "", "  ", b"b\xffd", "x" * (1 << 20), partition=0)
    stream.go(*NEXT)
    new = {"dog": 5, "grown": 1, "b\ufffdd": 1, "x" * (1 << 20): 1}
    assert (stream.counts(), stream.changes()) == (counts | new, new)
    seen += updates(**new)
    assert stream.delivered() == seen
    position = stream.position()
    assert position.offsets == {"0": 8, "1": 3, "2": 1}
    assert (position.last["lines"], position.last["null_values"], position.last["invalid_utf8"]) == (6, 1, 1)

    # The stream goes back with the lake, and reads again.
    graph = stream.graph.defs.resolve_asset_graph()
    roll_back(lake, stream.graph.instance, graph, plan_rollback(lake, first), "a test")
    assert stream.position().offsets == {"0": 3, "1": 2}
    stream.go("word_counts_topic")
    seen += updates(**{word: COUNTS.get(word) for word in {"kafka": 1, **new}})
    assert stream.delivered() == seen
    stream.go(*NEXT)
    assert stream.counts() == counts | new
    seen += updates(kafka=1, **new)
    assert stream.delivered() == seen
    stream.go(job="words_recount")


@pytest.mark.soak
def test_an_empty_topic_is_published_and_what_no_transaction_committed_is_not_counted(make_stream: MakeStream) -> None:
    stream = make_stream()
    stream.go()
    assert (stream.counts(), stream.windows(), stream.delivered()) == ({}, {}, [])
    assert stream.position().offsets == {"0": 0}

    stream.send("dog")
    aborted, open_, committed = stream.transaction(), stream.transaction(), stream.transaction()
    stream.produce(aborted, "never")
    assert aborted.flush(30) == 0
    aborted.abort_transaction(30)
    stream.produce(committed, "cat")
    committed.commit_transaction(30)
    stream.produce(open_, "later")
    assert open_.flush(30) == 0
    stream.send("dog")
    stream.go(*NEXT)
    # Records after an open transaction wait for its end.
    assert stream.counts() == {"dog": 1, "cat": 1}
    open_.commit_transaction(30)
    stream.go(*NEXT)
    assert stream.counts() == {"dog": 2, "cat": 1, "later": 1}
    assert stream.delivered() == updates(dog=1, cat=1) + updates(dog=2, later=1)


@pytest.mark.soak
def test_what_a_topic_has_lost_fails_the_run_until_it_is_told_to_go_on_or_to_start_over(
    make_stream: MakeStream,
) -> None:
    stream = make_stream(partitions=2)
    stream.send(*LINES)
    stream.go()

    # Lines deleted before they were read.
    stream.send("lost", "lost", "kept")
    stream.send("other", partition=1)
    stream.delete_records(before=len(LINES) + 2)
    failed = error(stream.run("word_counts"))
    assert "has lost lines: partition 0: 2 offset(s) deleted before they were read" in failed
    assert "fail_on_data_loss: false" in failed
    assert stream.counts() == COUNTS
    gone_on = stream.go(*NEXT, fail_on_data_loss=False)
    assert failed_checks(gone_on) == {"word_counts:no_data_loss"}
    assert stream.counts() == COUNTS | {"kept": 1, "other": 1}
    (event,) = gone_on.asset_materializations_for_node("word_counts")
    assert event.metadata["stream/lost_offsets"].value == 2
    assert stream.committed()["stream/lost_offsets"] == "2"

    # A topic made again, with as many lines as were read: by offsets alone, nothing would be new.
    before, delivered = stream.position(), len(stream.delivered())
    stream.recreate()
    stream.send("dog", *["new"] * (before.offsets["0"] - 1))
    failed = error(stream.run("word_counts"))
    assert f"{stream.address} was deleted and created again" in failed
    assert before.source_id in failed
    assert "reset_checkpoint: true" in failed
    stream.go(reset_checkpoint=True)
    counts = {"dog": 1, "new": 7}
    assert stream.counts() == counts
    assert stream.position().source_id == stream.state().id != before.source_id
    gone: dict[str, int | None] = dict.fromkeys([*COUNTS, "kept", "other"])
    assert stream.delivered()[delivered:] == updates(**gone | counts)


def test_a_broker_that_does_not_answer_is_named_within_the_deadline(
    make_graph: Callable[..., Graph], tmp_path: Path
) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        address = f"kafka://127.0.0.1:{deaf.getsockname()[1]}/test"
        stream = Stream(make_graph(WORDS_SOURCE=address, KAFKA_DEADLINE="1"), tmp_path)
        began = time.monotonic()
        failed = stream.run("word_counts")
        assert time.monotonic() - began < 10
    assert "word_counts: the servers do not answer" in error(failed)


@pytest.mark.soak
@pytest.mark.usefixtures("kafka")
def test_a_broker_that_goes_away_while_it_is_read_is_named_within_three_deadlines(
    make_graph: Callable[..., Graph], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = own_broker()
    try:
        broker.start()
        monkeypatch.setenv("KAFKA_DEADLINE", "5")
        stream = TopicStream(broker, make_graph, tmp_path)
        stream.send(*LINES)

        def begun(session: SparkSession) -> None:
            broker.kill()
            generate_no_code(session)

        # The last that is done before Spark reads.
        monkeypatch.setattr(stream_io_manager, "generate_no_code", begun)
        began = time.monotonic()
        failed = stream.run("word_counts")
        assert time.monotonic() - began < 60
        assert "word_counts: the source stopped answering" in error(failed)
        assert "TimeoutException" in error(failed)
    finally:
        remove(broker)
