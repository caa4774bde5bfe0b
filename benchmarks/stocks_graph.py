"""The stocks graph against a hand-written PySpark script that does the same reads and writes, without lake or Dagster.

Both take the same generated file, on the same warm Spark session, in turns: JVM start and imports are left out on both
sides. The script copies the raw file, parses and validates it in one pass to Parquet, writes the quarantine where rows
are bad, and puts the latest bar of each security into LMDB. It keeps no history, no snapshot and no provenance, and
nothing stands between its reader and a half-written folder.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.session import session
from lake_assets.defs.stocks.schema import COLUMNS, spark_schema
from lake_assets.settings import LakeFSSettings
from lake_assets.spark.jars import S3A
from lake_assets.spark.s3a import s3a_conf
from lake_assets.spark.session import give_credentials, without_credentials
from lake_assets_tests.lakefs_server import CREDENTIALS

if TYPE_CHECKING:
    from dagster import DagsterInstance, Definitions
    from pyspark.sql import SparkSession

HOUR = "2017-07-28-08:00"


class Place:
    """Where the script writes: a local folder, or a folder of a plain branch of lakeFS."""

    def __init__(self, folder: Path, lake: Any = None) -> None:
        self._gateway: Any = None
        self.uri = str(folder)
        if lake is not None:
            from lake_assets.lake.lakefs.filesystem import gateway

            self._gateway = gateway(lake.endpoint, *CREDENTIALS)
            self.uri = f"s3a://{os.environ['LAKEFS_REPOSITORY']}/plain/files"

    def copy(self, source: Path) -> str:
        """Copy a file there, and return where it is."""
        target = f"{self.uri}/raw/{source.name}"
        if self._gateway is None:
            Path(target).parent.mkdir(parents=True)
            shutil.copyfile(source, target)
        else:
            from pyarrow.fs import LocalFileSystem, copy_files

            copy_files(str(source), target.removeprefix("s3a://"), LocalFileSystem(), self._gateway)
        return target


def script(spark: SparkSession, source: Path, out: Path, place: Place) -> None:
    """Do by hand what the graph does."""
    from pyspark.sql import functions as sf

    from lake_assets.defs.stocks.line_rules import check_digit_is_right
    from lake_assets.nosql.lmdb.store import LMDBStore

    raw = place.copy(source)
    schema = spark_schema().add("_corrupt", "string")
    rows = spark.read.csv(raw, schema=schema, header=True, enforceSchema=False, columnNameOfCorruptRecord="_corrupt")
    good = sf.coalesce(sf.col("_corrupt").isNull() & check_digit_is_right(sf.col("ISIN")), sf.lit(False))
    names = [column.name for column in COLUMNS]
    rows.where(good).select(*names).write.parquet(f"{place.uri}/bars")
    written = spark.read.parquet(f"{place.uri}/bars")
    if written.count() < rows.count():
        rows.where(~good).write.parquet(f"{place.uri}/quarantine")
    order = sf.struct("Date", "Time")
    latest = written.groupBy("ISIN").agg(sf.max_by(sf.struct(*names), order).alias("row")).select("row.*")
    store = LMDBStore(out / "nosql")
    store.write("stocks_table", latest, key=["ISIN"], mode="overwrite")
    store.close()


def graph(defs: Definitions, instance: DagsterInstance) -> tuple[float, float]:
    """Execute the job in this process; return its seconds, without and with those of its checks' step."""
    begin = time.perf_counter()
    result = defs.resolve_job_def("stocks").execute_in_process(partition_key=HOUR, instance=instance)
    took = time.perf_counter() - begin
    assert result.success
    steps = {stats.step_key: stats for stats in instance.get_run_step_stats(result.run_id)}
    print("   ", {name: round((stats.end_time or 0) - (stats.start_time or 0), 1) for name, stats in steps.items()})
    audit = steps["stocks_audit"]
    return took - ((audit.end_time or 0) - (audit.start_time or 0)), took


def main() -> None:
    """Print the ratios with and without checks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--lake", choices=("embedded", "lakefs"), default="embedded")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lake-assets-benchmark-") as folder, ExitStack() as running:
        server = running.enter_context(lakefs()) if options.lake == "lakefs" else None
        measure(Path(folder), options.rows, options.repeats, server)


@contextmanager
def lakefs() -> Iterator[Any]:
    """Run a lakeFS server, with a plain branch for the script."""
    from lake_assets_tests.lakefs_server import own_server

    server = own_server()
    server.start()
    os.environ |= {
        "LAKE_ENV": "services",
        "LAKEFS_ENDPOINT": server.endpoint,
        "LAKEFS_ACCESS_KEY_ID": CREDENTIALS[0],
        "LAKEFS_SECRET_ACCESS_KEY": CREDENTIALS[1],
    }
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.folder)


def measure(folder: Path, rows: int, repeats: int, server: Any) -> None:
    """Take turns, each on a fresh home."""
    import logging

    from dagster import DagsterInstance

    from lake_assets.defs.stocks.partitions import hour_of
    from lake_assets.defs.stocks.source import open_source

    source = folder / "source"
    fetched = open_source("", generator_rows=rows).fetch(hour_of(HOUR), _made(source / "2017-07-28"))
    os.environ["STOCKS_SOURCE"] = str(source)
    spark = _session()
    logging.disable(logging.INFO)
    seconds: dict[str, list[float]] = {"script": [], "graph": [], "graph with checks": []}
    for turn in range(repeats + 1):
        for side in ("script", "graph"):
            home = _made(folder / f"{side}-{turn}")
            os.environ["LAKE_HOME"] = str(home)
            if server is not None:
                fresh_repository(spark, server, home.name)
            with DagsterInstance.ephemeral() as instance:
                from lake_assets import definitions, environments

                defs = definitions.definitions(environments.resources(_shared()))
                begin = time.perf_counter()
                if side == "script":
                    script(spark, fetched.path, home, Place(home, server))
                    took = {"script": time.perf_counter() - begin}
                else:
                    took = dict(zip(("graph", "graph with checks"), graph(defs, instance), strict=True))
            for name, value in took.items():
                print(f"  {'warm-up' if not turn else f'turn {turn}'}: {name} {value:.1f} s", flush=True)
                if turn:  # The first turn warms the JVM up.
                    seconds[name].append(value)
            shutil.rmtree(home, ignore_errors=True)
    base = statistics.median(seconds["script"])
    for name, bound in (("graph", 1.15), ("graph with checks", 1.5)):
        ratio = statistics.median(seconds[name]) / base
        where = "lakeFS" if server else "the embedded lake"
        print(f"stocks {name} on {where}, {rows:,} rows: {ratio:.2f} times the hand-written script (bound {bound})")
    spark.stop()


def fresh_repository(spark: SparkSession, server: Any, name: str) -> None:
    """Let the settings and Spark use a new repository: equal content in an old one would be no new commit."""
    from lake_assets.lake.lakefs import LakeFSLake

    os.environ["LAKEFS_REPOSITORY"] = name
    LakeFSLake(server.endpoint, *CREDENTIALS, name).create_branch("plain", "main")
    conf = s3a_conf(name, server.endpoint, *CREDENTIALS)
    give_credentials(spark, {key.removeprefix("spark.hadoop."): value for key, value in conf.items()})


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _session() -> SparkSession:
    if os.environ.get("LAKE_ENV") != "services":
        return session()
    # The settings of each repository are given when it is made.
    public, _ = without_credentials(s3a_conf("lake", LakeFSSettings.read().endpoint, "", ""))
    return session(S3A, **public)


def _shared():
    from lake_assets_tests.shared_spark import SharedSpark

    return SharedSpark()


if __name__ == "__main__":
    main()
