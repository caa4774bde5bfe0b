"""The profile of a million rows of 20 and of 200 columns on two workers that share nothing with this process.

``python -m benchmarks.profile_cluster [ROWS]``. The time of 200 columns is at most 12 times that of 20, and both
profiles have the figures that this process finds by itself. The cluster is that of the tests; it needs ``unshare``.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.profile import ROWS, table
from lake_assets.quality import profile
from lake_assets.resources.spark import SparkResource
from lake_assets_tests.quality.agreement import check_same_rows
from lake_assets_tests.spark_cluster import SparkCluster, spark_cluster

BOUND = 12.0
PARTS = 8


def main() -> None:
    """Print the times, and check the ratio and the figures."""
    with spark_cluster() as cluster:
        narrow, wide = (_profiled(cluster, times) for times in (1, 10))
    ratio = wide / narrow
    print(f"200 columns: {ratio:.2f} times the time of 20; at most {BOUND:.0f}", flush=True)
    if ratio > BOUND:
        sys.exit("the bound is missed")


def _profiled(cluster: SparkCluster, times: int) -> float:
    rows = table(ROWS, times)
    # The workers see this folder, as they would see a bucket.
    folder = cluster.place / f"rows-{times}"
    folder.mkdir()
    for part in range(PARTS):
        size = -(-ROWS // PARTS)
        pq.write_table(rows.slice(part * size, size), folder / f"{part}.parquet", row_group_size=1 << 15)
    spark = SparkResource(master=cluster.master, conf_lines=cluster.conf)
    session = spark.session
    try:
        frame = session.read.parquet(f"file://{folder}")
        # The JVMs and the workers' Python are warm.
        profile(session.read.parquet(f"file://{Path(folder, '0.parquet')}"))
        began = time.perf_counter()
        found = profile(frame)
        took = time.perf_counter() - began
    finally:
        session.stop()
    check_same_rows(found, profile(rows))
    print(f"profile on two workers, {20 * times} columns, {ROWS:,} rows: {took:.2f} s", flush=True)
    return took


if __name__ == "__main__":
    main()
