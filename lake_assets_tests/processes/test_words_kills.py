"""Kill -9 all over the job `words`: each line is counted once, and each published update delivered once."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from lake_assets.lake.contract import Lake
from lake_assets.lake.embedded import GitLake
from lake_assets.lake.lakefs import LakeFSLake
from lake_assets_tests.graph_fixtures import Graph
from lake_assets_tests.kafka_broker import KafkaBroker
from lake_assets_tests.lakefs_server import CREDENTIALS, LakeFSServer
from lake_assets_tests.outbox.outboxes import OutboxSpec
from lake_assets_tests.processes.conftest import StartJob, services
from lake_assets_tests.processes.kill import Kill
from lake_assets_tests.processes.state import check_no_lock_is_held
from lake_assets_tests.processes.words import Folder, Topic, Words

# The runs after the kills are in this process.
pytestmark = pytest.mark.usefixtures("spark")

MakeGraph = Callable[..., Graph]

REPOSITORY = "lake_assets.lake.embedded.repository:GitLake"
REFS = "lake_assets.lake.embedded.refs:Refs"
COMMITS = "lake_assets.lake.embedded.commits:Commits"
LAKEFS = "lake_assets.lake.lakefs.repository:LakeFSLake"
STREAM = "lake_assets.io_managers.stream"
CHECKPOINT = "lake_assets.streaming.checkpoint"
SINK = "lake_assets.defs.words.sink"
LINES = "lake_assets.outbox.lines"
KAFKA = "lake_assets.outbox.kafka:KafkaSender"
BATCH = "pyspark.sql.readwriter:DataFrameWriter.parquet"
UNFINISHED = "streams/**/changes-*/**/_temporary/**/*"

CRITICAL = Kill("the checkpoint on disk is ahead of the lakes", "alone", (f"{CHECKPOINT}:_upload", 3, "after"))

COMMON = [
    Kill("the checkpoint is restored", "group", (f"{CHECKPOINT}:Checkout.restore", 1, "after")),
    Kill("Spark is starting", "group", line="word_counts - STEP_START", delay=2.0),
    Kill("the micro-batch begins", "alone", (BATCH, 1, "before")),
    Kill("Spark runs the micro-batch", "group", files=UNFINISHED),
    Kill("Spark runs the micro-batch", "alone", files=UNFINISHED),
    Kill("the micro-batch is written and not committed by Spark", "group", (BATCH, 1, "after")),
    Kill("Spark has committed the micro-batch", "group", (f"{STREAM}:consume", 1, "after")),
    Kill("all counts are written", "alone", (f"{CHECKPOINT}:Checkout.store", 1, "before")),
    Kill("the state is uploaded in part", "group", (f"{CHECKPOINT}:_upload", 1, "after")),
    Kill("the state is uploaded", "group", (f"{CHECKPOINT}:Checkout.store", 1, "after")),
    Kill("counts are committed and the folder not noted", "alone", (f"{CHECKPOINT}:Checkout.committed", 1, "before")),
    Kill("one stream is committed and the other under way", "group", (f"{CHECKPOINT}:Checkout.store", 2, "after")),
    Kill("audited and not yet published", "group", line="words_checks - STEP_SUCCESS"),
    Kill("published and not sent", "alone", (f"{SINK}:deliver", 1, "before")),
    Kill("sent and nothing logged", "group", (f"{SINK}:deliver", 1, "after")),
]
"""Of either lake."""

EMBEDDED = [
    Kill("before the write", "alone", (f"{REPOSITORY}.write", 1, "before")),
    *COMMON,
    Kill("the commit is made and the branch not moved", "alone", (f"{COMMITS}.make", 1, "after")),
    Kill("written and not committed", "group", (f"{REFS}.advance", 1, "before")),
    Kill("the counts are committed", "alone", (f"{REFS}.advance", 1, "after")),
    Kill("before the merge", "alone", (f"{REPOSITORY}.merge", 1, "before")),
    Kill("merging and main not moved", "group", (f"{REPOSITORY}._three_way", 1, "after")),
    Kill("main is moved and the branch not deleted", "alone", (f"{REPOSITORY}.merge", 1, "after")),
    Kill("the branch is deleted and nothing logged", "group", (f"{REFS}.delete_branch", 1, "after")),
    Kill("the sender has the lock", "alone", (f"{LINES}:_recover", 1, "after")),
    Kill("lines are appended and not synced", "group", (f"{LINES}:_write_all", 1, "after")),
    Kill("lines are synced and the marker not moved", "alone", (f"{LINES}:LinesSender._append", 1, "after")),
    Kill("the marker is moved", "group", (f"{LINES}:_replace", 1, "after")),
]

SERVICES = [
    Kill("before the write", "alone", (f"{LAKEFS}.write", 1, "before")),
    *COMMON,
    Kill("written and not committed", "group", (f"{LAKEFS}._land", 1, "before")),
    Kill("the counts are committed", "alone", (f"{LAKEFS}._land", 1, "after")),
    Kill("before the merge", "alone", (f"{LAKEFS}.merge", 1, "before")),
    Kill("main is moved and the branch not deleted", "group", (f"{LAKEFS}.merge", 1, "after")),
    Kill("the transaction has begun", "alone", (f"{KAFKA}.deliver", 1, "before")),
    Kill("updates are sent and the marker not", "group", (f"{KAFKA}._send", 1, "after")),
    Kill("all is sent but the commit", "alone", (f"{KAFKA}._flush", 1, "after")),
    Kill("the transaction is committed", "group", (f"{KAFKA}.deliver", 1, "after")),
]

VOCABULARY = [f"word{number}" for number in range(60)]


def some_lines(draw: random.Random, what: str, time: str = "") -> list[str]:
    """Return a few lines; a word of them stands nowhere else."""
    lines = [" ".join(draw.choices(VOCABULARY, k=draw.randrange(1, 6))) for _ in range(draw.randrange(1, 20))]
    lines.append(f"{what} dog")
    return [f"{time} {line}".lstrip() for line in lines]


def dated(draw: random.Random, what: str) -> list[str]:
    """Return lines of a folder, which begin with their time."""
    return some_lines(draw, what, f"2026-11-22T10:0{draw.randrange(10)}:00Z")


@pytest.fixture
def on_files(start_any_job: StartJob, tmp_path: Path) -> Words:
    """The stream on the embedded lake, from files to a file."""
    home = tmp_path / "home"
    outbox = OutboxSpec(str(home / "words" / "testConsumer.jsonl"))
    return Words(start_any_job, home, Folder(tmp_path / "lines"), outbox, lambda: GitLake(home), {})


@pytest.fixture
def on_servers(server: LakeFSServer, kafka: KafkaBroker, start_any_job: StartJob, tmp_path: Path) -> Words:
    """The stream on lakeFS, from Kafka to Kafka."""
    outbox = OutboxSpec(f"kafka://{kafka.servers}/{kafka.fresh_topic()}")

    def open_lake() -> Lake:
        return LakeFSLake(server.endpoint, *CREDENTIALS, "lake")

    return Words(start_any_job, tmp_path / "home", Topic(kafka), outbox, open_lake, services(server))


def run_here(words: Words, make_graph: MakeGraph, job: str = "words") -> None:
    """Run the job in this process, whose Spark is up: at once, while the JVM of a killed one may still write."""
    graph = make_graph(home=words.home, **words.settings)
    assert graph.defs.resolve_job_def(job).execute_in_process(instance=graph.instance, raise_on_error=False).success


@pytest.mark.soak
def test_a_checkpoint_on_disk_that_a_killed_run_left_ahead_of_the_lake_is_not_gone_on_from(
    on_files: Words, make_graph: MakeGraph
) -> None:
    draw = random.Random(5)
    on_files.send(dated(draw, "first"))
    run_here(on_files, make_graph)
    before = Counter(on_files.sent)

    on_files.send(dated(draw, "second"))
    job = on_files.start(CRITICAL.deadly)
    CRITICAL.strike(job, on_files.home)
    on_files.check_whole(before)

    on_files.send(dated(draw, "third"))
    run_here(on_files, make_graph)
    on_files.check_all_is_counted_and_delivered_once()
    assert list((on_files.home / "streams").rglob("changes-*")) == []


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_runs_killed_all_over_count_every_line_once_on_the_embedded_lake(
    on_files: Words, make_graph: MakeGraph
) -> None:
    draw = random.Random(26)
    on_files.send(dated(draw, "first"))
    run_here(on_files, make_graph)
    for number, kill in enumerate(EMBEDDED):
        began = time.monotonic()
        before = Counter(on_files.sent)
        on_files.send(dated(draw, f"killed{number}"))
        job = on_files.start(kill.deadly)
        kill.strike(job, on_files.home)
        on_files.check_whole(before, on_files.sent)
        if number % 3:
            on_files.send(dated(draw, f"mended{number}"))
        run_here(on_files, make_graph)
        on_files.check_all_is_counted_and_delivered_once()
        job.wait_for_orphans()
        on_files.check_all_is_counted_and_delivered_once()
        check_no_lock_is_held(on_files.home)
        print(f"{number + 1:2} {kill}: {time.monotonic() - began:.1f} s", flush=True)
    run_here(on_files, make_graph, job="words_recount")


@pytest.mark.soak
@pytest.mark.services
@pytest.mark.timeout(7200)
def test_runs_killed_all_over_count_every_line_once_on_lakefs_and_kafka(on_servers: Words) -> None:
    draw = random.Random(26)
    on_servers.send(some_lines(draw, "first"))
    on_servers.start().succeed()
    for number, kill in enumerate(SERVICES):
        began = time.monotonic()
        before = Counter(on_servers.sent)
        on_servers.send(some_lines(draw, f"killed{number}"))
        kill.strike(on_servers.start(kill.deadly), on_servers.home)
        on_servers.check_whole(before, on_servers.sent)
        if number % 3:
            on_servers.send(some_lines(draw, f"mended{number}"))
        on_servers.start().succeed()
        on_servers.check_all_is_counted_and_delivered_once()
        print(f"{number + 1:2} {kill}: {time.monotonic() - began:.1f} s", flush=True)
    on_servers.start(job="words_recount").succeed()
