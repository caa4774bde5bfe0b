"""The profiler on workers that share nothing: the figures are those that this process finds."""

from __future__ import annotations

import base64
import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from lake_assets.quality.profile import Profile
from lake_assets.quality.profiling import profile
from lake_assets_tests.conftest import REPOSITORY_ROOT
from lake_assets_tests.quality.agreement import check_same_rows
from lake_assets_tests.spark_cluster import spark_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

ROWS = 500_000
PROGRAM = """
import base64, json, sys
from lake_assets.quality.profiling import profile
from lake_assets.resources.spark import SparkResource

asked = json.loads(sys.stdin.read())
session = SparkResource(master=asked["master"], conf_lines=asked["conf"]).session
frame = session.range(asked["rows"], numPartitions=7).selectExpr(
    "id * 7919 % 1000003 as number",
    "cast(id as double) / 7 as share",
    "if(id % 13 = 0, null, concat('name ', id % 977)) as name",
    "date_add(date '2020-01-01', cast(id % 400 as int)) as day",
    "id % 3 = 0 as flag",
)
print(base64.b64encode(profile(frame).to_bytes()).decode())
"""


def rows() -> pa.Table:
    """Return the rows that the program makes."""
    ids = np.arange(ROWS)
    return pa.table(
        {
            "number": pa.array(ids * 7919 % 1000003),
            "share": pa.array(ids.astype("float64") / 7),
            "name": pa.array([None if at % 13 == 0 else f"name {at % 977}" for at in ids.tolist()]),
            "day": pa.array((np.datetime64("2020-01-01") + ids % 400).astype("datetime64[D]")),
            "flag": pa.array(ids % 3 == 0),
        }
    )


def test_workers_find_the_figures_that_one_process_finds() -> None:
    with spark_cluster() as cluster:
        asked = {"master": cluster.master, "conf": cluster.conf, "rows": ROWS}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            timeout=800,
            cwd=REPOSITORY_ROOT,
        )
        assert done.returncode == 0, done.stderr[-4000:] + cluster.logs()[-4000:]
    check_same_rows(Profile.from_bytes(base64.b64decode(done.stdout)), profile(rows()))
