"""The job `words` on a cluster that shares nothing: whatever is killed, each line is counted once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lake_assets.lake.contract import MAIN, Lake
from lake_assets.layout.manifest import read_manifest
from lake_assets_tests.cluster_user import User
from lake_assets_tests.kafka_broker import KafkaBroker
from lake_assets_tests.outbox.outboxes import OutboxSpec
from lake_assets_tests.processes.job_process import JobProcess
from lake_assets_tests.processes.kill import Kill
from lake_assets_tests.processes.words import Topic, Words
from lake_assets_tests.spark_cluster import SparkCluster, spark_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3000)]

BATCH = "pyspark.sql.readwriter:DataFrameWriter.parquet"
STORE = "lake_assets.streaming.branch_checkpoint:BranchCheckpoint.store"
LAKE = "lake_assets.lake.lakefs.repository:LakeFSLake"
DRIVERS = [
    # The JVM lives on for a moment, and so do the workers' tasks.
    Kill("the micro-batch begins", "alone", (BATCH, 1, "before")),
    Kill("the checkpoint is ahead of the lakes", "group", ("lake_assets.io_managers.stream:consume", 1, "after")),
    Kill("the checkpoint is linked and nothing committed", "alone", (STORE, 1, "after")),
    Kill("one stream is committed and the other not", "group", (f"{LAKE}._land", 1, "after")),
    Kill("main is moved and the branch not deleted", "group", (f"{LAKE}.merge", 1, "after")),
    Kill("published and not sent", "alone", ("lake_assets.defs.words.sink:deliver", 1, "before")),
]
STAGES = ["executor-1", "executor-2", "executor-3"]
NAMES = ("word_counts", "word_counts_windowed")


@pytest.fixture(scope="module")
def cluster() -> Iterator[SparkCluster]:
    with spark_cluster() as running:
        yield running


@pytest.fixture
def words(cluster: SparkCluster, kafka: KafkaBroker, tmp_path: Path) -> Iterator[Words]:
    """The stream from Kafka to a file, and what of it is still alive at the end is ended."""
    user = User(tmp_path / "user", cluster)
    started: list[JobProcess] = []

    def start(key: str, home: Path, killed_at: tuple[str, ...] = (), job: str = "", **settings: str) -> JobProcess:
        started.append(JobProcess(job, key, home, settings, killed_at))
        return started[-1]

    outbox = OutboxSpec(str(user.home / "sink.jsonl"))
    yield Words(start, user.home, Topic(kafka), outbox, user.lake, user.settings)
    for process in started:
        process.end()


def test_a_driver_that_is_killed_in_any_phase_loses_no_line_and_counts_none_twice(words: Words) -> None:
    words.send(["dog cat", "cat bird"])
    words.start().succeed()
    states = [Counter(words.sent)]
    for number, kill in enumerate(DRIVERS):
        words.send([f"dog killed{number}", "cat"])
        states.append(Counter(words.sent))
        kill.strike(words.start(kill.deadly), words.home)
        words.check_whole(*states)
        with closing(words.open()) as lake:
            check_checkpoints(lake)
    words.send(["dog last"])
    words.start().succeed()
    words.check_all_is_counted_and_delivered_once()
    with closing(words.open()) as lake:
        check_checkpoints(lake)


def test_an_executor_that_is_killed_in_any_stage_leaves_one_result(words: Words) -> None:
    for stage in STAGES:
        words.send([f"dog {stage}", "cat bird"])
        job = words.start((BATCH, "1", "before", stage))
        job.succeed()
        assert "killed an executor in stage" in job.text
        words.check_all_is_counted_and_delivered_once()
        with closing(words.open()) as lake:
            check_checkpoints(lake)
            assert not lake.private_branches()


def check_checkpoints(lake: Lake) -> None:
    """Check that every commit of every branch holds the files of its checkpoint, and no others beside its counts."""
    assert not lake.changes(MAIN)
    for branch in lake.branches():
        for commit in lake.log(branch, 20):
            for name in NAMES:
                held = {item.path: item.size for item in lake.list(commit.id, f"_beside/{name}")}
                if held:
                    listed = read_manifest(lake.path(commit.id, name)).beside
                    assert held == {f"_beside/{name}/{file}": size for file, size in listed.items()}
