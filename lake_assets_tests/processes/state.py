"""What the lake and the table hold, worked out without the code that filled them."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset

from lake_assets.defs.stocks.generator import generate
from lake_assets.lake.contract import MAIN
from lake_assets.lake.embedded import GitLake
from lake_assets.lake.embedded.locks import try_lock
from lake_assets.lake.errors import PathNotFound
from lake_assets.nosql.contract import NoSQLStore

DAY = "2017-07-28"
Row = Mapping[str, Any]


def key_of(hour: str) -> str:
    """Return an hour's partition key."""
    return f"{DAY}-{hour}:00"


def generated(hour: str, rows: int) -> bytes:
    """Return the file that the generator makes for an hour."""
    start = datetime.strptime(f"{DAY} {hour}", "%Y-%m-%d %H").replace(tzinfo=timezone.utc)
    return b"".join(generate(start, rows))


def rows_of(lake: GitLake, ref: str, prefix: str) -> list[Row]:
    """Return the rows of a prefix's Parquet files."""
    try:
        snapshot = lake.path(ref, prefix)
    except PathNotFound:
        return []
    table: pa.Table = pyarrow.dataset.dataset(snapshot.root, format="parquet").to_table()
    return table.to_pylist()


def latest(lake: GitLake, ref: str) -> dict[str, Row]:
    """Return the table as it must be at a commit: one row per ISIN, the latest."""
    found: dict[str, Row] = {}
    for row in sorted(rows_of(lake, ref, "stocks_parquet"), key=lambda row: (row["Date"], row["Time"])):
        found[row["ISIN"]] = row
    return found


def table_of(store: NoSQLStore) -> dict[str, Row]:
    """Return the table as it is."""
    if "stocks_table" not in store.tables():
        return {}
    return {row["ISIN"]: row for batch in store.scan("stocks_table") for row in batch.to_pylist()}


def check_table(lake: GitLake, store: NoSQLStore) -> str | None:
    """Check that the table holds exactly what the commit that it reflects says, and return that commit."""
    commit = store.source_commit("stocks_table")
    assert table_of(store) == (latest(lake, commit) if commit else {})
    return commit


def check_table_is_mains(lake: GitLake, store: NoSQLStore) -> None:
    """Check that the table holds what `main` says, and reflects a commit with the same bars as its head."""
    assert table_of(store) == latest(lake, MAIN)
    commit = store.source_commit("stocks_table")
    assert commit is not None
    assert not lake.diff(commit, MAIN, "stocks_parquet")


def check_hour(lake: GitLake, hour: str, expected: bytes) -> None:
    """Check that `main` holds an hour's file, its rows and its bad rows: of this content and no other."""
    place = f"day={DAY}/hour={hour}"
    snapshot = lake.path(MAIN, f"stocks_csv/{place}")
    (raw,) = (path for path in Path(snapshot.root).iterdir() if path.suffix == ".csv")
    assert raw.read_bytes() == expected
    lines = expected.decode().splitlines()[1:]
    good = [fields for fields in csv.reader(io.StringIO("\n".join(lines))) if len(fields) == 14]
    bars = rows_of(lake, MAIN, f"stocks_parquet/{place}")
    assert sorted((row["ISIN"], row["Time"]) for row in bars) == sorted((fields[0], fields[7]) for fields in good)
    bad = [row["raw"] for row in rows_of(lake, MAIN, f"stocks_quarantine/{place}")]
    assert sorted(bad) == sorted(line for line in lines if line.count(",") < 13)


def check_no_lock_is_held(home: Path) -> None:
    """Check that the locks of a dead process are free."""
    for path in (home / "lake.git/lake_assets.lock", home / "snapshots/.lock", home / "nosql/spool"):
        if path.exists():
            lock = try_lock(path)
            assert lock is not None, f"{path} is locked"
            os.close(lock)


def check_nothing_is_left(home: Path) -> None:
    """Check that what killed processes left is gone: Git's locks, unfinished writes, scratch, spools."""
    locks = {path.name for path in (home / "lake.git").rglob("*.lock")}
    assert locks <= {"lake_assets.lock"}
    assert list((home / "staging").iterdir()) == []
    assert list((home / "nosql" / "spool").iterdir()) == []
    # The fetch's scratch lies in staging, too, and Spark's own files in the system's folder.
    assert {path.name for path in home.iterdir()} == {"lake.git", "nosql", "snapshots", "staging"}
