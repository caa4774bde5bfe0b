"""A profile of a million rows: 20 columns beside DuckDB's SUMMARIZE, 200 columns, and the merge of 1,000 states.

``python -m benchmarks.profile [ROWS] [spark]``. With ``spark``, also beside one aggregate of Spark's built-in functions
for the same metrics, from Parquet, on a warm session.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import LocalFileSystem

from lake_assets.quality import Profile, profile, profile_files
from lake_assets.quality.profile import merged

ROWS = next((int(word) for word in sys.argv[1:] if word.isdecimal()), 1_000_000)


def table(rows: int, times: int = 1) -> pa.Table:
    """Return 20 columns, or some times 20: floats, integers, texts, flags and times."""
    rng = np.random.default_rng(1)
    isins = pa.array([f"DE{at:010d}" for at in range(700)])
    columns: dict[str, object] = {}
    for at in range(times):
        columns |= {f"float{at}_{each}": rng.normal(size=rows) for each in range(8)}
        columns |= {f"integer{at}_{each}": rng.integers(0, 10 ** (each + 2), rows) for each in range(4)}
        columns |= {f"isin{at}_{each}": isins.take(pa.array(rng.integers(0, 700, rows))) for each in range(4)}
        columns[f"mail{at}"] = pa.array([f"user-{each}@example.com" for each in rng.permutation(rows).tolist()])
        columns[f"flag{at}"] = pa.array(rng.random(rows) < 0.5)
        columns[f"time{at}"] = pa.array(rng.integers(0, 2**50, rows)).cast(pa.timestamp("us"))
        columns[f"day{at}"] = pa.array(rng.integers(17000, 18000, rows).astype("int32")).cast(pa.date32())
    return pa.table(columns)


def timed(what: str, work: Callable[[], object]) -> None:
    """Run it, and print its time."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    print(f"{what}: {time.perf_counter() - wall:.2f} s, {time.process_time() - cpu:.2f} s of processors", flush=True)


def aggregate(path: str, schema: pa.Schema) -> None:
    """Print the time of one aggregate of Spark's functions for what a profile has."""
    from pyspark.sql import functions as sf

    from benchmarks.session import session

    spark = session()
    frame = spark.read.parquet(path)
    found = [sf.count(sf.lit(1)).alias("rows")]
    for field in schema:
        name, column = field.name, sf.col(field.name)
        number = pa.types.is_floating(field.type) or pa.types.is_integer(field.type)
        each = [sf.count(column), sf.approx_count_distinct(column), sf.min(column), sf.max(column), sf.mode(column)]
        if number:
            each += [sf.sum(column), sf.stddev(column), sf.skewness(column), sf.kurtosis(column)]
            each += [sf.percentile_approx(column, [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99])]
            each += [sf.count_if(column == 0), sf.count_if(column < 0)]
        if pa.types.is_string(field.type):
            each += [sf.min(sf.length(column)), sf.max(sf.length(column)), sf.avg(sf.length(column))]
            each += [sf.count_if(column == ""), sf.count_if(column.rlike("^[A-Z]{2}[A-Z0-9]{9}[0-9]$"))]
        found += [one.alias(f"{name}_{at}") for at, one in enumerate(each)]
    frame.limit(1000).agg(*found).write.format("noop").mode("overwrite").save()
    java = next(
        int(stat.parent.name)
        for stat in Path("/proc").glob("[0-9]*/stat")
        if f" {os.getpid()} " in stat.read_text() and "(java)" in stat.read_text()
    )
    wall, cpu = time.perf_counter(), _cpu(java)
    frame.agg(*found).write.format("noop").mode("overwrite").save()
    took = f"{time.perf_counter() - wall:.2f} s, {_cpu(java) - cpu:.2f} s of processors"
    print(f"Spark's aggregate, 20 columns: {took}", flush=True)
    spark.stop()


def _cpu(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Print the times."""
    rows = table(ROWS)
    duckdb.register("frame", rows)
    timed("DuckDB's SUMMARIZE, 20 columns", lambda: duckdb.execute("SUMMARIZE frame").fetchall())
    timed("profile, 20 columns", lambda: profile(rows))
    if "spark" in sys.argv:
        with tempfile.TemporaryDirectory() as folder:
            pq.write_table(rows, f"{folder}/rows.parquet", row_group_size=1 << 17)
            timed("profile of the file", lambda: profile_files(LocalFileSystem(), [f"{folder}/rows.parquet"]))
            aggregate(f"{folder}/rows.parquet", rows.schema)
    states = [profile(rows.slice(at * 700, 700)).to_bytes() for at in range(10)]
    parts = [Profile.from_bytes(states[at % 10]) for at in range(1000)]
    timed("merge of 1,000 states", lambda: merged(parts))
    rows = table(ROWS, 10)
    timed("profile, 200 columns", lambda: profile(rows))


if __name__ == "__main__":
    main()
