"""Every job on a cluster that shares nothing, on lakeFS, as a user starts it: the same content as on one machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lake_assets.lake.contract import MAIN
from lake_assets_tests.cluster_user import User
from lake_assets_tests.kafka_broker import KafkaBroker
from lake_assets_tests.lakefs_server import CREDENTIALS
from lake_assets_tests.spark_cluster import SparkCluster, spark_cluster

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
    assert CREDENTIALS[1] not in cluster.logs()


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


def test_a_package_that_workers_lack_is_named_with_the_worker(cluster: SparkCluster, tmp_path: Path) -> None:
    user = User(tmp_path, cluster, LAKE_ENGINE="spark")
    user.settings["SPARK_CONF"] = cluster.bare_conf
    process = user.start("stocks", HOUR)
    assert process.wait() != 0
    assert "Spark: the worker 127.0.0." in process.text
    assert (
        "has no Python package 'lake_assets': install it there for the Python of spark.pyspark.python" in process.text
    )
