"""Every job on a cluster that shares nothing, on lakeFS, as a user starts it: the same content as on one machine."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lake_assets.lake.contract import MAIN
from lake_assets.layout.manifest import MANIFEST, read_manifest
from lake_assets_tests.cluster_user import User
from lake_assets_tests.defs.words.bucket import Bucket
from lake_assets_tests.kafka_broker import KafkaBroker
from lake_assets_tests.lakefs_server import CREDENTIALS
from lake_assets_tests.quality.agreement import check_same_rows
from lake_assets_tests.spark_cluster import SparkCluster, hidden, spark_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

HOUR = "2017-07-28-08:00"


@pytest.fixture(scope="module")
def cluster() -> Iterator[SparkCluster]:
    with spark_cluster() as running:
        yield running


def users(cluster: SparkCluster, folder: Path, **settings: str) -> tuple[User, User]:
    """Return somebody on the cluster, and somebody on this machine alone."""
    return User(folder / "cluster", cluster, **settings), User(folder / "local", None, **settings)


def test_stocks_and_users(cluster: SparkCluster, tmp_path: Path) -> None:
    far, near = users(cluster, tmp_path, LAKE_LOCAL_BYTES="0")
    for user in (far, near):
        for job, key in (("stocks", HOUR), ("users", "userdata1")):
            said = user.run(job, key)
            assert CREDENTIALS[1] not in said
    assert far.versions() == near.versions()
    assert len(far.versions()) == 5
    profiles = far.profiles(), near.profiles()
    assert profiles[0].keys() == profiles[1].keys()
    for folder, profile in profiles[0].items():
        check_same_rows(profile, profiles[1][folder])
    assert len(profiles[0]) == 2
    # LMDB lies where no worker can see it.
    assert any(far.home.is_relative_to(folder) for folder in hidden())
    assert far.items("stocks_table") == near.items("stocks_table")
    assert far.items("stocks_table")
    assert CREDENTIALS[1] not in cluster.logs()


def test_a_driver_that_is_killed_at_any_stage_leaves_nothing_that_counts(cluster: SparkCluster, tmp_path: Path) -> None:
    far, near = users(cluster, tmp_path)
    near.run("stocks", HOUR)
    executor = "lake_assets.compute.spark:SparkExecutor.run"
    stages = [
        (executor, "1", "before", "group"),
        # Its files are written, and the JVM lives on for a moment.
        (executor, "1", "after", "alone"),
        (executor, "2", "after", "group"),
        ("lake_assets.lake.lakefs.server:Server.merge", "3", "before", "group"),
        ("lake_assets.lake.lakefs.repository:LakeFSLake.merge", "1", "before", "group"),
    ]
    for stage in stages:
        kill(far, "stocks", HOUR, stage)
        assert not far.versions()
    far.run("stocks", HOUR)
    assert far.versions() == near.versions()
    assert far.items("stocks_table") == near.items("stocks_table")
    check_commits(far)


def kill(user: User, job: str, key: str, stage: tuple[str, ...]) -> None:
    """Run a job whose driver is killed, and check what it leaves."""
    killed = user.start(job, key, killed_at=stage)
    assert killed.wait() == -signal.SIGKILL, killed.text[-4000:]
    killed.wait_for_orphans()
    check_commits(user)


def check_commits(user: User) -> None:
    """Check that every branch holds for each table the files of its manifest, and no others."""
    with closing(user.lake()) as lake:
        assert not lake.changes(MAIN)
        for branch in lake.branches():
            paths = [item.path for item in lake.list(branch)]
            for path in paths:
                if path.endswith(f"/{MANIFEST}"):
                    folder = path.rpartition("/")[0]
                    named = {f"{folder}/{name}" for name in read_manifest(lake.path(branch, path)).files}
                    assert named == {other for other in paths if other.startswith(f"{folder}/")} - {path}


def test_words_of_a_topic_and_the_state_of_their_counts(
    cluster: SparkCluster, kafka: KafkaBroker, tmp_path: Path
) -> None:
    topic = kafka.fresh_topic(2)
    source = f"kafka://{kafka.servers}/{topic}"
    far, near = users(cluster, tmp_path, WORDS_SOURCE=source, WORDS_SINK=str(tmp_path / "sink.jsonl"))
    near.settings["WORDS_SINK"] = str(tmp_path / "near.jsonl")
    producer = kafka.cluster().producer()
    for lines in (["dog cat", "cat bird", "dog"], ["dog new", "fish"]):
        for number, line in enumerate(lines):
            producer.produce(topic, line.encode(), partition=number % 2, timestamp=0)
        assert producer.flush(30) == 0
        for user in (far, near):
            user.run("words")
        assert far.versions() == near.versions()
        assert {folder.split("/")[0] for folder in far.versions()} == {"word_counts", "word_counts_windowed"}
    with closing(far.lake()) as lake:
        assert not lake.private_branches()
        state = [item.path for item in lake.list(MAIN, "_beside/word_counts/checkpoint/state")]
    assert state
    assert not (far.home / "lake" / "streams").exists()


def test_words_of_files_in_s3(cluster: SparkCluster, tmp_path: Path) -> None:
    bucket = Bucket()
    far, near = users(cluster, tmp_path, **bucket.settings)
    for user in (far, near):
        user.settings["WORDS_SINK"] = str(user.home / "sink.jsonl")
    # More objects than Spark looks up without its workers.
    for number in range(40):
        bucket.put(f"08:00/{number} of.txt", f"dog cat n{number}\n2017-07-28T08:00:00Z bird\n".encode())
    for more in (b"dog new\n", b"fish"):
        for user in (far, near):
            said = user.run("words")
            assert CREDENTIALS[1] not in said
        assert far.versions() == near.versions()
        bucket.put(f"{more.decode().strip()}.txt", more)
    user.run("words")
    assert far.versions() != near.versions()
    far.run("words")
    assert far.versions() == near.versions()
    assert CREDENTIALS[1] not in cluster.logs()


def test_a_package_that_workers_lack_is_named_with_the_worker(cluster: SparkCluster, tmp_path: Path) -> None:
    user = User(tmp_path, cluster, LAKE_ENGINE="spark")
    user.settings["SPARK_CONF"] = cluster.bare_conf
    process = user.start("stocks", HOUR)
    assert process.wait() != 0
    assert "Spark: the worker 127.0.0." in process.text
    assert (
        "has no Python package 'lake_assets': install it there for the Python of spark.pyspark.python" in process.text
    )
