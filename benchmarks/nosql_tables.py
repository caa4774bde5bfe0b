"""What the options of a table cost, and what a sink writes when little changed: in CPU time, on both stores.

    .venv/bin/python -m benchmarks.nosql_tables [--store lmdb] [--rows 1_000_000] [--load 250_000]

On LMDB: a new table with two sort keys, with a condition, and with a counter, against a plain one; a range of 10,000
items against a full scan; and a sink's run after 1 % of the rows changed, against a full load. On DynamoDB Local: the
writes of that run, counted at the server's side of the client, its time, and a range of 10,000 items of one partition
key against a full scan; by the clock, and in CPU time of the server and its client.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lake_assets.nosql.contract import NoSQLStore, Options
from lake_assets.nosql.difference import row_difference
from lake_assets.nosql.lmdb.store import LMDBStore

MOST_WITH_COUNTER, LEAST_FASTER_RANGE, MOST_WRITES, MOST_TIME = 2.0, 20.0, 0.011, 0.1


def bars(rows: int, changed: int = 0, isins: int = 5000) -> pa.Table:
    """Return rows of distinct keys, in no order, of which the first ones have another price."""
    numbers = np.random.default_rng(1).permutation(rows)
    price = np.round(numbers % 65_536 / 700, 3)
    price[:changed] += 1
    return pa.table(
        {
            "isin": [f"DE{number % isins:010}" for number in numbers],
            "minute": numbers // isins,
            "part": numbers % 7,
            "mnemonic": [f"M{number % 977}" for number in numbers],
            "price": price,
            "trades": numbers % 40,
        }
    )


def seconds(run: Callable[[], Any], clock: Callable[[], float] = time.process_time) -> float:
    """Return the seconds that a call takes: CPU time, unless another clock is given."""
    started = clock()
    run()
    return clock() - started


def on_lmdb(rows: int, folder: Path) -> list[bool]:
    """Print the figures of LMDB, and return which bounds hold."""
    items, key = bars(rows), ["isin", "minute"]
    store = LMDBStore(folder)
    store.write("warm", items.slice(0, 1000), key=key)
    plain = seconds(lambda: store.write("plain", items, key=key, mode="overwrite"))
    upsert = seconds(lambda: store.write("plain", items, key=key))
    sort_keys = seconds(lambda: store.write("sorted", items, key=[*key, "part"]))
    later = Options(condition="new.price >= old.price")
    conditional = seconds(lambda: store.write("plain", items, key=key, options=later))
    counting = Options(counter=["trades"], batch="1")
    counter = seconds(lambda: store.write("plain", items, key=key, options=counting))
    fresh = seconds(lambda: store.write("counted", items, key=key, options=counting))
    print(f"{rows:,} rows into a new table {plain:.1f} s, again by key {upsert:.1f} s (CPU time)")
    print(f"a new table with a counter {fresh / plain:.2f} x (bound {MOST_WITH_COUNTER:g})")
    print(f"with two sort keys {sort_keys / plain:.2f} x, a condition {conditional / upsert:.2f} x")
    print(f"with a counter {counter / upsert:.2f} x (bound {MOST_WITH_COUNTER:g})")

    minutes = rows // 5000
    few = max(1, 10_000 // minutes)
    whole = seconds(lambda: sum(batch.num_rows for batch in store.scan("plain")))
    start, end = f"DE{1000:010}", f"DE{1000 + few:010}"
    found = sum(batch.num_rows for batch in store.scan("plain", start=start, end=end))
    part = seconds(lambda: sum(batch.num_rows for batch in store.scan("plain", start=start, end=end)))
    print(f"a range of {found:,} of {rows:,} rows is {whole / part:.0f} x faster than a full scan ({whole:.2f} s)")

    files = [folder / "before.parquet", folder / "after.parquet"]
    for file, rows_of in zip(files, (items, bars(rows, rows // 100)), strict=True):
        pq.write_table(rows_of, file)
    again = seconds(lambda: load(store, files[0], key))
    run = seconds(lambda: feed(store, *files, key))
    print(f"a sink's run with 1 % changed {run:.2f} s, a full load {again:.2f} s: {run / again:.2f} x (bound 1)")
    store.close()
    return [counter <= MOST_WITH_COUNTER * upsert, whole >= LEAST_FASTER_RANGE * part, run <= again]


def load(store: NoSQLStore, file: Path, key: list[str]) -> None:
    """Do what a full load does: read what the table is to show, and write it."""
    store.write("sink", pq.read_table(file), key=key, mode="overwrite", source_commit="1")


def feed(store: NoSQLStore, before: Path, after: Path, key: list[str]) -> None:
    """Do what a sink's run does: find the rows that differ, and write them."""
    import duckdb

    with duckdb.connect() as connection:
        old, new = (connection.read_parquet(str(file)) for file in (before, after))
        items, gone = (one.to_arrow_table() for one in row_difference(old, new, key))
    store.write("sink", items, key=key, delete=gone, source_commit="2", expected_commit="1", check_expected=True)


def on_dynamodb(rows: int, folder: Path) -> list[bool]:
    """Print the figures of DynamoDB Local, and return which bounds hold, in CPU time."""
    from lake_assets.nosql.dynamodb.store import DynamoDBStore
    from lake_assets_tests.dynamodb_server import own_server

    server = own_server()
    server.start()
    stat = Path(f"/proc/{server._process.pid}/stat")  # pyright: ignore

    def taken(run: Callable[[], Any]) -> tuple[float, float]:
        """Return the seconds of a call: by the clock, and of CPU time, the server's, too."""
        before, started = _cpu(stat), time.perf_counter()
        run()
        return time.perf_counter() - started, _cpu(stat) - before

    try:
        # More requests at once than this server has processors only wait for each other.
        store = DynamoDBStore(**server.options(), parallel=4)
        sent: list[int] = []
        store._client.api.meta.events.register(  # pyright: ignore[reportPrivateUsage]
            "before-send.dynamodb.BatchWriteItem",
            lambda request, **_: sent.append(sum(map(len, json.loads(request.body)["RequestItems"].values()))),
        )
        key, files = ["isin", "minute"], [folder / "before.parquet", folder / "after.parquet"]
        isins = max(1, rows // 10_000)
        for file, changed in zip(files, (0, rows // 100), strict=True):
            pq.write_table(bars(rows, changed, isins), file)
        full = taken(lambda: load(store, files[0], key))
        loaded = sum(sent)
        sent.clear()
        run = taken(lambda: feed(store, *files, key))
        print(f"{rows:,} rows into a new table {_both(full)}, {loaded:,} writes")
        print(f"with 1 % changed {sum(sent) / loaded:.4f} x the writes (bound {MOST_WRITES:g})")
        print(f"in {_both(run)}, {_ratio(run, full)} the time (bound {MOST_TIME:g})")
        # Without more of the key, a prefix would be the beginning of a partition key: of any that begins so.
        one = f"isin = 'DE{isins // 2:010}'"
        part = taken(lambda: sum(batch.num_rows for batch in store.scan("sink", where=one)))
        whole = taken(lambda: sum(batch.num_rows for batch in store.scan("sink")))
        print(f"a full scan {_both(whole)}, 10,000 rows of it {_both(part)}: {_ratio(whole, part)} faster")
        store.close()
        return [
            sum(sent) <= MOST_WRITES * loaded,
            run[1] <= MOST_TIME * full[1],
            whole[1] >= LEAST_FASTER_RANGE * part[1],
        ]
    finally:
        server.stop()


def _cpu(stat: Path) -> float:
    """Return the CPU seconds of this process and of another."""
    fields = stat.read_text().rpartition(")")[2].split()
    return time.process_time() + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _both(taken: tuple[float, float]) -> str:
    return f"{taken[0]:.2f} s ({taken[1]:.2f} s of CPU time)"


def _ratio(one: tuple[float, float], other: tuple[float, float]) -> str:
    return f"{one[0] / other[0]:.3f} x ({one[1] / other[1]:.3f} x)"


def main() -> int:
    """Run, and return 1 where a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", choices=["lmdb", "dynamodb"])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--load", type=int, default=250_000, help="rows on DynamoDB Local")
    given = parser.parse_args()
    held: list[bool] = []
    folder = Path(tempfile.mkdtemp(prefix="nosql-bench-"))
    try:
        if given.store in (None, "lmdb"):
            held += on_lmdb(given.rows, folder)
        if given.store in (None, "dynamodb"):
            held += on_dynamodb(given.load, folder)
    finally:
        shutil.rmtree(folder)
    return int(not all(held))


if __name__ == "__main__":
    raise SystemExit(main())
