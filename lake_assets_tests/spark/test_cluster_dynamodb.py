"""Workers that share nothing with the driver write a Spark frame to DynamoDB: what is there is what one process leaves.

An executor that is killed while it writes loses no item, and leaves none besides.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

import psutil
import pyarrow as pa
import pytest

from lake_assets.nosql.dynamodb.store import DynamoDBStore
from lake_assets_tests.conftest import REPOSITORY_ROOT
from lake_assets_tests.dynamodb_proxy import Proxy, proxied
from lake_assets_tests.dynamodb_server import DynamoDBServer
from lake_assets_tests.spark_cluster import SparkCluster, spark_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

SECRET = "secret of the workers"
PARTITIONS = "\nspark.sql.adaptive.coalescePartitions.enabled=false\nspark.sql.shuffle.partitions=6"


@pytest.fixture(scope="module")
def cluster() -> Iterator[SparkCluster]:
    with spark_cluster() as running:
        yield running


def stored(cluster: SparkCluster, endpoint: str, prefix: str, first: int, last: int) -> dict[str, int]:
    """Store rows on the cluster, and return what is told of it."""
    asked = {"master": cluster.master, "conf": cluster.conf + PARTITIONS, "endpoint": endpoint, "prefix": prefix}
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1"}
    done = subprocess.run(
        [sys.executable, "-m", "lake_assets_tests.spark.cluster_frame"],
        input=json.dumps({**asked, "rows": [first, last]}),
        capture_output=True,
        text=True,
        timeout=800,
        cwd=REPOSITORY_ROOT,
        env={**os.environ, **keys},
    )
    assert done.returncode == 0, done.stderr[-4000:] + cluster.logs()[-4000:]
    for said in (done.stdout, done.stderr, cluster.logs()):
        assert SECRET not in said
    told: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    assert told, done.stderr[-6000:] + cluster.logs()[-4000:]
    return told


def check_items(endpoint: str, prefix: str, first: int, last: int) -> None:
    """Check that the table holds what this process writes."""
    rows = pa.table(
        {
            "k": [f"key {at}" for at in range(first, last)],
            "n": pa.array(range(first, last), pa.int64()),
            "money": pa.array([at / 4 for at in range(first, last)]).cast(pa.decimal128(12, 2)),
            "list": [[at] for at in range(first, last)],
        }
    )
    with closing(opened(endpoint, prefix)) as store:
        store.write("here", rows, key=["k"])
        there, here = ([row for batch in store.scan(name) for row in batch.to_pylist()] for name in ("numbers", "here"))
        assert there == here
        assert store.row_count("numbers") == last - first
        store.drop("here")


def opened(endpoint: str, prefix: str) -> DynamoDBStore:
    return DynamoDBStore(
        prefix, endpoint_url=endpoint, region_name="us-east-1", access_key_id="testing", secret_access_key=SECRET
    )


def test_workers_write_a_new_table_and_then_only_what_differs(cluster: SparkCluster, dynamodb: DynamoDBServer) -> None:
    prefix = f"test-{uuid4().hex}"
    with proxied(dynamodb.endpoint) as proxy:
        assert stored(cluster, proxy.endpoint, prefix, 0, 2000) == {"put": 2000, "deleted": 0}
        assert proxy.written_to("numbers") == 2000
        check_items(dynamodb.endpoint, prefix, 0, 2000)
        proxy.written.clear()
        assert stored(cluster, proxy.endpoint, prefix, 100, 2050) == {"put": 1950, "deleted": 2000}
        assert proxy.written_to("numbers") == 150
        check_items(dynamodb.endpoint, prefix, 100, 2050)


def test_an_executor_that_is_killed_while_it_writes_loses_and_doubles_nothing(
    cluster: SparkCluster, dynamodb: DynamoDBServer
) -> None:
    prefix = f"test-{uuid4().hex}"
    with proxied(dynamodb.endpoint) as proxy:
        for first, last, killed_at in ((0, 4000, 1500), (2000, 6000, 900)):
            killed = when_written(proxy, killed_at, lambda: kill_an_executor(cluster))
            assert stored(cluster, proxy.endpoint, prefix, first, last)["put"] == 4000
            assert killed
            check_items(dynamodb.endpoint, prefix, first, last)
            proxy.written.clear()


def when_written(proxy: Proxy, items: int, act: Callable[[], None]) -> list[bool]:
    """Do something once, when so many items are written. The list that is returned is then not empty."""
    count, done = proxy.count, list[bool]()

    def counted(operation: str, body: Any) -> None:
        count(operation, body)
        if not done and proxy.written_to("numbers") >= items:
            done.append(True)
            act()

    proxy.count = counted
    return done


def kill_an_executor(cluster: SparkCluster) -> None:
    """Kill the executor of one worker, with its Python."""
    for process in cluster.processes[1:]:
        for child in psutil.Process(process.pid).children(recursive=True):
            if "CoarseGrainedExecutorBackend" in " ".join(child.cmdline()):
                os.kill(child.pid, signal.SIGKILL)
                return
