"""The stocks job against DuckDB's bare copy of the same file, and against a hand-written PySpark script.

All take the same generated file. The copy is ``COPY (SELECT * FROM read_csv(…)) TO parquet``: it checks nothing and
keeps nothing. The graph is the job from the committed raw file to the published table, with its checks; fetching is
given besides. It runs in this process, without Java.

With ``--spark``, the script parses and validates the file with Spark on a warm session, writes the quarantine where
rows are bad, and puts the latest bar of each security into LMDB. Neither keeps a history, a snapshot or provenance.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lake_assets.defs.stocks.generator import HEADER
from lake_assets.defs.stocks.schema import COLUMNS, arrow_schema
from lake_assets.quality import lake_profiles

if TYPE_CHECKING:
    from dagster import DagsterInstance, Definitions

HOUR = "2017-07-28-08:00"
GRAPH = ("graph", "graph with fetching", "graph without its profile")


def copy(source: Path, out: Path) -> None:
    """Copy the file to Parquet with DuckDB, with the types of its columns."""
    import duckdb

    kinds = {"string": "VARCHAR", "date": "DATE", "double": "DOUBLE", "int": "INTEGER"}
    columns = ", ".join(f"'{column.name}': '{kinds[column.type]}'" for column in COLUMNS)
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (FROM read_csv('{source}', header = true, columns = {{{columns}}}, ignore_errors = true)) "
            f"TO '{out / 'bars.parquet'}' (FORMAT parquet)"
        )


def script(source: Path, out: Path) -> None:
    """Do by hand, with Spark, what the graph does."""
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as sf

    from lake_assets.frames.spark_columns import spark_type
    from lake_assets.nosql.lmdb.store import LMDBStore

    spark = SparkSession.getActiveSession()
    assert spark is not None
    from pyspark.sql.types import StringType, StructField, StructType

    schema = StructType([StructField(field.name, spark_type(field.type)) for field in _plain(arrow_schema())])
    rows = spark.read.csv(
        str(source),
        schema=StructType([*schema, StructField("_corrupt", StringType())]),
        header=True,
        columnNameOfCorruptRecord="_corrupt",
    )
    good = sf.coalesce(sf.col("_corrupt").isNull() & _check_digit_is_right(sf.col("ISIN")), sf.lit(False))
    names = [column.name for column in COLUMNS]
    rows.where(good).select(*names).write.parquet(f"{out}/bars")
    written = spark.read.parquet(f"{out}/bars")
    if written.count() < rows.count():
        rows.where(~good).write.parquet(f"{out}/quarantine")
    latest = written.groupBy("ISIN").agg(sf.max_by(sf.struct(*names), sf.struct("Date", "Time")).alias("row"))
    store = LMDBStore(out / "nosql")
    store.write("stocks_table", latest.select("row.*"), key=["ISIN"], mode="overwrite")
    store.close()


def _plain(schema):
    import pyarrow as pa

    return [field.with_type(pa.string()) if pa.types.is_dictionary(field.type) else field for field in schema]


def _check_digit_is_right(isin):
    from pyspark.sql import functions as sf

    digits = [sf.conv(sf.substring(isin, place, 1), 36, 10) for place in range(1, 13)]
    return sf.call_function("luhn_check", sf.concat(*digits))


_PROFILE = ("stocks_parquet_profile", "stocks_parquet_constraints")


def graph(defs: Definitions, instance: DagsterInstance) -> dict[str, float]:
    """Execute the job in this process; return its seconds, without fetching, with it, and without the profile."""
    # Each turn has the same rows: their profile is not to be known from the last one.
    lake_profiles._KNOWN.clear()
    begin = time.perf_counter()
    result = defs.resolve_job_def("stocks").execute_in_process(partition_key=HOUR, instance=instance)
    took = time.perf_counter() - begin
    assert result.success
    steps = {stats.step_key: stats for stats in instance.get_run_step_stats(result.run_id)}
    seconds = {name: (stats.end_time or 0) - (stats.start_time or 0) for name, stats in steps.items()}
    print("   ", {name: round(value, 1) for name, value in seconds.items()})
    alone = took - seconds["stocks_csv"]
    profile = sum(value for name, value in seconds.items() if name in _PROFILE)
    return {"graph": alone, "graph with fetching": took, "graph without its profile": alone - profile}


def spoiled(lines: Iterator[bytes], share: float) -> Iterator[bytes]:
    """Yield lines, a share of which have a wrong check digit, in turn with a price that is none."""
    wanted = 0.0
    for number, line in enumerate(lines):
        wanted += share
        if wanted >= 1:
            wanted -= 1
            line = line.replace(b".", b"x") if number % 2 else line[:12] + b"%d" % ((line[12] - 47) % 10) + line[13:]
        yield line


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--bad", type=float, default=0, help="share of lines that are bad, from 0 to 1")
    parser.add_argument("--spark", action="store_true", help="measure the PySpark script, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lake-assets-benchmark-") as folder:
        measure(Path(folder), options)


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Take turns, each on a fresh home."""
    import logging

    from dagster import DagsterInstance

    source = _generated(folder, options.rows, options.bad)
    os.environ |= {"STOCKS_SOURCE": str(source.parent.parent), "STOCKS_MAX_QUARANTINED": "1"}
    logging.disable(logging.INFO)
    sides: dict[str, Callable[[Path, Path], None]] = {"copy": copy}
    if options.spark:
        from benchmarks.session import session

        session()
        sides["script"] = script
    seconds: dict[str, list[float]] = {name: [] for name in (*sides, *GRAPH)}
    for turn in range(options.repeats + 1):
        took: dict[str, float] = {}
        for name, side in sides.items():
            home = _made(folder / f"{name}-{turn}")
            begin, used = time.perf_counter(), time.process_time()
            side(source, home)
            took[name] = time.perf_counter() - begin
            print(f"    {name}: {time.process_time() - used:.1f} s of CPU time")
            shutil.rmtree(home)
        home = _made(folder / f"graph-{turn}")
        os.environ["LAKE_HOME"] = str(home)
        with DagsterInstance.ephemeral() as instance:
            from lake_assets import definitions, environments

            used = time.process_time()
            defs = definitions.definitions(environments.resources())
            took |= graph(defs, instance)
            print(f"    graph with fetching: {time.process_time() - used:.1f} s of CPU time")
        shutil.rmtree(home)
        for name, value in took.items():
            print(f"  {'warm-up' if not turn else f'turn {turn}'}: {name} {value:.1f} s", flush=True)
            if turn:
                seconds[name].append(value)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{options.rows:,} rows, {options.bad:.0%} bad:")
    # The script makes no profile: what the graph takes without its own is told besides.
    for base, same, bound in (("copy", "graph", 3.0), ("script", "graph", 0.3)):
        if base in medians:
            for name in GRAPH:
                bounded = f" (bound {bound})" if name == same else ""
                print(f"  {name}: {medians[name] / medians[base]:.2f} times the {base}{bounded}")


def _generated(folder: Path, rows: int, bad: float) -> Path:
    """Return a generated file of the hour, a share of whose lines are bad."""
    from lake_assets.defs.stocks.partitions import hour_of
    from lake_assets.defs.stocks.source import open_source

    path = open_source("", generator_rows=rows).fetch(hour_of(HOUR), _made(folder / "source" / "2017-07-28")).path
    if bad:
        whole = path.rename(folder / "whole.csv")
        with whole.open("rb") as lines, path.open("wb") as file:
            file.write(HEADER)
            next(lines)
            file.writelines(spoiled(lines, bad))
        whole.unlink()
    return path


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


if __name__ == "__main__":
    main()
