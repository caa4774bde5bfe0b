"""Writing a Spark frame to the NoSQL store, against Spark's own Parquet write and against the naive way.

One session, one cached frame of 14 columns like the exchange's rows, distinct string keys in random order; every
way is warmed up once, then they alternate and the medians are compared. JVM start and imports are left out.

    .venv/bin/python -m benchmarks.nosql_write [--rows 1_000_000] [--repeats 3] [--memory]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

MOST_OF_PARQUET, LEAST_FASTER = 3.5, 2.5
MOST_MEMORY = 1.5


def session() -> SparkSession:
    """Start Spark as the project does, on all cores."""
    from pyspark.sql import SparkSession

    from lake_assets.spark.session import session_conf

    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master("local[*]")
    for key, value in session_conf().items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def stocks(spark: SparkSession, rows: int) -> DataFrame:
    """Return rows like the exchange's with as many distinct ISINs, in no order."""
    text = "substring(sha2(cast(id as string), 256), 1, 10)"
    price = "round(10 + (hash(id, {}) & 65535) / 700.0D, 3)"
    return spark.range(rows).selectExpr(
        f"concat('DE', {text}, id) as ISIN",
        f"upper(substring({text}, 1, 4)) as Mnemonic",
        f"concat('COMPANY ', {text}, ' O.N.') as SecurityDesc",
        "'Common stock' as SecurityType",
        "'EUR' as Currency",
        "cast(2504000 + id % 9000 as int) as SecurityID",
        "date'2017-07-28' as Date",
        "concat('08:', lpad(cast(id % 60 as string), 2, '0')) as Time",
        *(f"{price.format(n)} as {name}Price" for n, name in enumerate(("Start", "Max", "Min", "End"))),
        "cast(hash(id, 9) & 4095 as double) as TradedVolume",
        "cast(1 + id % 40 as int) as NumberOfTrades",
    )


def naive(frame: DataFrame, folder: Path) -> None:
    """The plain way: every row through ``toLocalIterator()``, same encoding, one transaction."""
    import lmdb
    import msgspec

    encode = msgspec.msgpack.Encoder().encode
    epoch = date(1970, 1, 1)
    with lmdb.open(str(folder), map_size=1 << 36, max_dbs=8) as environment:
        items = environment.open_db(b"table:t")
        with environment.begin(write=True, db=items) as transaction:
            for row in frame.toLocalIterator(prefetchPartitions=True):
                isin, *values = row
                values[5] = (values[5] - epoch).days
                transaction.put(isin.encode(), encode(values))


def compare(rows: int, repeats: int) -> dict[str, float]:
    """Return the median seconds of each way."""
    from lake_assets.nosql.contract import Options
    from lake_assets.nosql.lmdb.store import LMDBStore

    spark = session()
    frame = stocks(spark, rows).cache()
    sorted_by, later = ["ISIN", "Time", "Mnemonic"], Options(condition="new.EndPrice >= old.EndPrice")
    frame.count()
    home = Path(tempfile.mkdtemp(prefix="nosql-bench-"))
    kept = LMDBStore(home / "kept")
    kept.write("t", frame, key=["ISIN"])
    kept.write("sorted", frame, key=sorted_by)

    def fresh(run: Callable[[Path], object]) -> Callable[[], float]:
        def timed() -> float:
            folder = home / "one"
            folder.mkdir()
            started = time.perf_counter()
            run(folder)
            taken = time.perf_counter() - started
            shutil.rmtree(folder)
            return taken

        return timed

    def new_table(folder: Path) -> None:
        store = LMDBStore(folder)
        assert store.write("t", frame, key=["ISIN"], mode="overwrite").row_count == rows
        store.close()

    def new_sorted_table(folder: Path) -> None:
        store = LMDBStore(folder)
        assert store.write("t", frame, key=sorted_by, mode="overwrite", options=later).row_count == rows
        store.close()

    ways = {
        "parquet": fresh(lambda folder: frame.write.mode("overwrite").parquet(str(folder))),
        "store, new table": fresh(new_table),
        "store, append into existing": fresh(lambda _: kept.write("t", frame, key=["ISIN"])),
        "store, new table, sort keys and condition": fresh(new_sorted_table),
        "store, append, sort keys and condition": fresh(
            lambda _: kept.write("sorted", frame, key=sorted_by, options=later)
        ),
        "naive": fresh(lambda folder: naive(frame, folder)),
    }
    try:
        for run in ways.values():
            run()
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(repeats):
            for name, run in ways.items():
                taken[name].append(run())
    finally:
        kept.close()
        shutil.rmtree(home)
        spark.stop()
    for name, seconds in taken.items():
        print(f"{name:42} {median(seconds):7.2f} s   of {', '.join(f'{one:.2f}' for one in seconds)}")
    return {name: median(seconds) for name, seconds in taken.items()}


def peak_memory(rows: int) -> int:
    """Return the peak RSS in MiB of a new Python process that writes ``rows`` rows."""
    command = [sys.executable, "-m", "benchmarks.nosql_write", "--rows", str(rows), "--only-write"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(json.loads(done.stdout.splitlines()[-1])["peak_mib"])


def only_write(rows: int) -> None:
    """Write once and print this process's peak RSS."""
    from lake_assets.nosql.lmdb.store import LMDBStore

    spark = session()
    home = Path(tempfile.mkdtemp(prefix="nosql-bench-"))
    try:
        started = time.perf_counter()
        LMDBStore(home).write("t", stocks(spark, rows), key=["ISIN"])
        seconds = time.perf_counter() - started
    finally:
        shutil.rmtree(home)
        spark.stop()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"rows": rows, "seconds": round(seconds, 2), "peak_mib": peak}))


def main() -> int:
    """Run, print the ratios, and return 1 where one is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="compare the peak RSS of ten times the rows")
    parser.add_argument("--only-write", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only_write:
        only_write(given.rows)
        return 0
    if given.memory:
        few, many = peak_memory(given.rows), peak_memory(10 * given.rows)
        print(f"peak RSS {few} MiB at {given.rows:,} rows, {many} MiB at ten times the rows")
        print(f"ten times the rows take {many / few:.2f} x the memory (bound {MOST_MEMORY})")
        return int(many > MOST_MEMORY * few)
    seconds = compare(given.rows, given.repeats)
    missed = False
    for way in ("new table", "new table, sort keys and condition", "append, sort keys and condition"):
        ratio = seconds[f"store, {way}"] / seconds["parquet"]
        faster = seconds["naive"] / seconds[f"store, {way}"]
        print(f"{way}: {ratio:.2f} x Spark's Parquet write (bound {MOST_OF_PARQUET}),")
        print(f"    {faster:.2f} x faster than by toLocalIterator (bound {LEAST_FASTER})")
        missed |= ratio > MOST_OF_PARQUET or faster < LEAST_FASTER
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main())
