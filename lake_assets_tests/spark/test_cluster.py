"""Spark on workers that share neither disk nor environment with the driver, and lakeFS between them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pyarrow.dataset
import pytest

from lake_assets.lake.contract import MAIN
from lake_assets.lake.lakefs import LakeFSLake
from lake_assets.settings import SparkSettings
from lake_assets.spark.jars import S3A, JarsUnavailable, jars
from lake_assets_tests import lakefs_server
from lake_assets_tests.conftest import REPOSITORY_ROOT
from lake_assets_tests.lakefs_server import CREDENTIALS
from lake_assets_tests.spark_cluster import SparkCluster, spark_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

# In a process of its own: the session of the other tests is a local one.
PROGRAM = """
import json, sys
from lake_assets.resources.lake import LakeFS
from lake_assets.resources.spark import SparkResource

asked = json.loads(sys.stdin.read())
resource = SparkResource(master=asked["master"], conf_lines=asked["conf"], lake=LakeFS(**asked["lake"]))
session = resource.session

def doubled(batches):
    import os, pyarrow.compute
    seen = [path for path in asked["hidden"] if os.path.exists(path)] + [name for name in os.environ if "LAKE" in name]
    assert not seen, seen
    for batch in batches:
        yield batch.set_column(0, "id", pyarrow.compute.multiply(batch.column(0), 2))

session.range(1000).repartition(4).mapInArrow(doubled, "id long").write.mode("append").parquet(asked["to"])
print(session.read.parquet(asked["to"]).selectExpr("sum(id)").first()[0])
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[SparkCluster]:
    try:
        jars(SparkSettings.read().jars.expanduser(), S3A)
    except JarsUnavailable as error:
        pytest.skip(f"wants Spark's S3A connector: {error}")
    with spark_cluster() as running:
        yield running


def test_workers_that_see_nothing_of_the_driver_read_and_write_the_lake(cluster: SparkCluster) -> None:
    endpoint, _, repository = lakefs_server.fresh_repository().rpartition("/")
    lake = LakeFSLake(endpoint, *CREDENTIALS, repository)
    lake.create_branch("work", MAIN)
    resource = {"endpoint": endpoint, "repository": repository}
    resource |= {"access_key_id": CREDENTIALS[0], "secret_access_key": CREDENTIALS[1]}
    hidden = [str(REPOSITORY_ROOT / "README.md")]
    asked = {"master": cluster.master, "conf": cluster.conf, "lake": resource, "hidden": hidden}
    with lake.write("work", "rows") as write:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            input=json.dumps({**asked, "to": write.uri}),
            capture_output=True,
            text=True,
            timeout=800,
            cwd=REPOSITORY_ROOT,
        )
    assert done.returncode == 0, done.stderr[-4000:] + cluster.logs()[-4000:]
    assert done.stdout.split() == ["999000"]
    snapshot = lake.path("work", "rows")
    rows = pyarrow.dataset.dataset(snapshot.root, filesystem=snapshot.filesystem, format="parquet").to_table()
    assert sum(rows["id"].to_pylist()) == 999_000
    assert CREDENTIALS[1] not in cluster.logs() + done.stdout + done.stderr
