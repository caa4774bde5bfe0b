"""Executors that are killed, attempts that are given up, and what Spark tells: on a cluster that shares nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pyarrow.parquet as pq
import pytest

from lake_assets.lake.lakefs import LakeFSLake
from lake_assets.layout.manifest import read_manifest
from lake_assets_tests import lakefs_server
from lake_assets_tests.conftest import REPOSITORY_ROOT
from lake_assets_tests.lakefs_server import CREDENTIALS
from lake_assets_tests.spark_cluster import SparkCluster, spark_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

SPECULATION = """
spark.speculation=true
spark.speculation.interval=100ms
spark.speculation.multiplier=1.1
spark.speculation.quantile=0.5
spark.speculation.minTaskRuntime=1s
"""
PAGES = "\nspark.ui.enabled=true\nspark.ui.port=0\nspark.eventLog.enabled=true\nspark.eventLog.compress=false\nspark.eventLog.dir=file://"


@pytest.fixture(scope="module")
def cluster() -> Iterator[SparkCluster]:
    with spark_cluster() as running:
        yield running


def check_one_result(
    cluster: SparkCluster, fault: str, conf: str = "", pages: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run the program; check that its commit holds each row once and no file besides; return what it said."""
    endpoint, _, repository = lakefs_server.fresh_repository().rpartition("/")
    resource = {"endpoint": endpoint, "repository": repository}
    resource |= {"access_key_id": CREDENTIALS[0], "secret_access_key": CREDENTIALS[1]}
    marks = cluster.place / f"marks-{uuid4().hex}"
    marks.mkdir()
    asked = {"master": cluster.master, "conf": f"{cluster.conf}\n{conf}", "lake": resource, "fault": fault}
    done = subprocess.run(
        [sys.executable, "-m", "lake_assets_tests.spark.cluster_program"],
        input=json.dumps({**asked, "marks": str(marks), "pages": pages}),
        capture_output=True,
        text=True,
        timeout=800,
        cwd=REPOSITORY_ROOT,
    )
    assert done.returncode == 0, done.stderr[-4000:] + cluster.logs()[-4000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["success"], done.stderr[-6000:]
    with closing(LakeFSLake(endpoint, *CREDENTIALS, repository)) as lake:
        paths = [item.path for item in lake.list(told["branch"], "numbers") if item.path.endswith(".parquet")]
        files = [lake.path(told["branch"], path) for path in paths]
        rows = [row for file in files for row in pq.read_table(file.root, filesystem=file.filesystem)["n"].to_pylist()]
        assert sorted(rows) == list(range(40))
        manifest = read_manifest(lake.path(told["branch"], "numbers"))
        assert sorted(f"numbers/{name}" for name in manifest.files) == sorted(paths)
        assert len(paths) == 4
        assert not lake.changes(told["branch"])
        assert not lake.private_branches()
    return done


@pytest.mark.parametrize("fault", ["killed before it writes", "killed while it writes"])
def test_an_executor_that_is_killed_leaves_one_result(cluster: SparkCluster, fault: str) -> None:
    check_one_result(cluster, fault)


def test_a_worker_that_is_lost_with_its_executor_leaves_one_result(cluster: SparkCluster) -> None:
    try:
        check_one_result(cluster, "worker lost while it writes")
        assert cluster.alive() == 1
    finally:
        cluster.add_worker(2)
        cluster.wait_for(2)


def test_an_attempt_that_was_overtaken_leaves_nothing_in_the_commit(cluster: SparkCluster) -> None:
    check_one_result(cluster, "slow", SPECULATION)


def test_credentials_show_in_no_page_event_or_log(cluster: SparkCluster, tmp_path: Path) -> None:
    done = check_one_result(cluster, "", f"{PAGES}{tmp_path}", pages=True)
    events = "".join(path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file())
    assert "SparkListenerApplicationStart" in events
    assert "spark.master" in done.stderr
    for secret in CREDENTIALS:
        for where in (done.stdout, done.stderr, events, cluster.logs()):
            assert secret not in where
