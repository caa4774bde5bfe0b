"""Two runs of the stream at once, and runs that are executed again: no line is counted twice."""

from __future__ import annotations

import os
import uuid
from dataclasses import replace
from typing import Any

import pytest
from dagster import ReexecutionOptions, execute_job

from lake_assets.io_managers import stream as stream_io
from lake_assets.lake.contract import MAIN
from lake_assets.outbox.contract import Update
from lake_assets.outbox.lines import read_committed
from lake_assets.streaming import microbatches
from lake_assets.streaming.microbatches import Consumed
from lake_assets_tests.defs.reexecution import again, reconstructable, start
from lake_assets_tests.defs.words.stream import COUNTS, LINES, Stream, error
from lake_assets_tests.graph_fixtures import Graph
from lake_assets_tests.outbox.outboxes import COUNTS as OUTPUT

JOB = "words"


def delivered(stream: Stream) -> list[Update]:
    return list(read_committed(stream.graph.home / "words" / "testConsumer.jsonl", OUTPUT))


def updates(counts: dict[str, int]) -> list[Update]:
    return [Update(word, counts[word]) for word in sorted(counts)]


def failure(graph: Graph, run_id: str) -> tuple[str, str]:
    """Return the step that failed, and why."""
    (event,) = [
        entry.dagster_event
        for entry in graph.instance.all_logs(run_id)
        if entry.dagster_event is not None and entry.dagster_event.is_step_failure
    ]
    return event.step_key or "", event.step_failure_data.error_display_string


@pytest.mark.soak
def test_of_two_runs_that_read_the_same_lines_one_publishes_and_the_other_conflicts(stream: Stream) -> None:
    graph = stream.graph
    stream.add("1.txt", *LINES)
    first = start(graph, JOB)
    assert first.is_success
    stream.add("2.txt", "kafka dog")

    # Both begin at the same commit; the slow one has its branch, and has read nothing when the quick one publishes.
    slow = str(uuid.uuid4())
    graph.lake.create_branch(f"run-{slow}", MAIN)
    assert start(graph, JOB).is_success
    published = graph.lake.head(MAIN)
    stream.add("3.txt", "late")
    conflicted = start(graph, JOB, slow)
    step, why = failure(graph, slow)
    assert step == "words_published"
    assert f"by run {published.metadata['run_id']}" in why
    assert "main got other versions of 'word_counts" in why
    assert "Re-execute all steps" in why
    assert graph.lake.head(MAIN) == published
    assert stream.counts() == COUNTS | {"kafka": 1, "dog": 5}

    # From the failure it conflicts again; as a whole it reads what is still new.
    assert not again(graph, conflicted, from_failure=True).success
    assert graph.lake.head(MAIN) == published
    assert again(graph, conflicted, from_failure=False).success
    assert stream.counts() == COUNTS | {"kafka": 1, "dog": 5, "late": 1}
    assert delivered(stream) == [*updates(COUNTS), Update("dog", 5), Update("kafka", 1), Update("late", 1)]

    # A published run that is executed again, as a whole and step by step, finds its work done.
    head = graph.lake.head(MAIN)
    whole = again(graph, first, from_failure=False)
    assert whole.success
    options = ReexecutionOptions(parent_run_id=first.run_id, step_selection=["words_published", "word_counts_topic"])
    with execute_job(reconstructable(graph, JOB), graph.instance, reexecution_options=options) as result:
        assert result.success
    assert graph.lake.head(MAIN) == head
    assert len(delivered(stream)) == len(COUNTS) + 3


@pytest.mark.soak
def test_from_a_publish_that_failed_a_run_goes_on_without_counting_anything_again(stream: Stream) -> None:
    graph = stream.graph
    stream.add("1.txt", *LINES)
    assert start(graph, JOB).is_success
    head = graph.lake.head(MAIN)

    # Something stands where Git wants its lock, so that main cannot be moved.
    stream.add("2.txt", "kafka dog")
    in_the_way = graph.home / "lake.git" / "refs" / "heads" / "main.lock"
    (in_the_way / "full").mkdir(parents=True)
    os.utime(in_the_way, (0, 0))
    failed = start(graph, JOB)
    assert failure(graph, failed.run_id)[0] == "words_published"
    assert graph.lake.head(MAIN) == head
    assert delivered(stream) == updates(COUNTS)

    # What comes now is not the failed run's.
    stream.add("3.txt", "later")
    (in_the_way / "full").rmdir()
    in_the_way.rmdir()
    retried = again(graph, failed, from_failure=True)
    assert retried.success
    assert {event.asset_key.to_user_string() for event in retried.get_asset_materialization_events()} == {
        "words_published",
        "word_counts_topic",
    }
    assert stream.counts() == COUNTS | {"kafka": 1, "dog": 5}

    assert again(graph, failed, from_failure=False).success
    assert stream.counts() == COUNTS | {"kafka": 1, "dog": 5, "later": 1}
    assert delivered(stream) == [*updates(COUNTS), Update("dog", 5), Update("kafka", 1), Update("later", 1)]


@pytest.mark.parametrize("lost", [1, pytest.param(3, marks=pytest.mark.soak)])
def test_a_query_whose_metrics_are_not_exact_starts_anew_from_the_checkpoint(
    stream: Stream, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    stream.add("1.txt", *LINES)
    assert stream.run().success
    left = [False] * lost

    def consume(*given: Any) -> Consumed:
        consumed = microbatches.consume(*given)
        # As when a worker was lost: see spark/test_lost_worker.py.
        return replace(consumed, exact=left.pop()) if left else consumed

    monkeypatch.setattr(stream_io, "consume", consume)
    stream.add("2.txt", "kafka dog")
    result = stream.run("word_counts", "words_published")
    assert result.success is (lost < 3)
    assert not left
    if not result.success:
        assert "Spark lost workers while it read, 3 times" in error(result)
        assert stream.counts() == COUNTS
        assert stream.run("word_counts", "words_published").success
    assert stream.counts() == COUNTS | {"kafka": 1, "dog": 5}
    assert (stream.position().last["lines"], stream.position().batch) == (1, 1)
