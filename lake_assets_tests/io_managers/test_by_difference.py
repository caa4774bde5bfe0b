"""What brings a sink's table from one commit to the next, for any function that says what it shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from duckdb import DuckDBPyConnection, DuckDBPyRelation

from lake_assets.io_managers.by_difference import rows_at, update_by_difference
from lake_assets.io_managers.table_update import TableUpdate
from lake_assets.lake.contract import Lake
from lake_assets.lake.embedded import GitLake
from lake_assets.nosql.lmdb.store import LMDBStore
from lake_assets_tests.audits import TESTS

FIRST = {"k": ["a", "b", "c"], "x": [1.0, None, float("nan")]}
SECOND = {"k": ["b", "c", "d"], "x": [2.0, float("nan"), None]}


def shown(connection: DuckDBPyConnection, lake: Lake, commit: str) -> DuckDBPyRelation:
    """The rows, by a view that has one name for any commit."""
    rows = rows_at(connection, lake, commit, "prices")
    assert rows is not None
    rows.create_view("prices_shown")
    return connection.table("prices_shown")


def publish(lake: Lake, **columns: Any) -> str:
    branch = f"run-{uuid4().hex}"
    lake.create_branch(branch, "main")
    with lake.write(branch, "prices", message="Write prices") as write:
        pq.write_table(pa.table(columns), Path(write.root, "part-0.parquet"))
    return lake.merge(branch, "main", audit=TESTS).id


def test_the_rows_that_differ_take_a_table_there_and_back(tmp_path: Path) -> None:
    lake, store = GitLake(tmp_path / "home"), LMDBStore(tmp_path / "store")
    first, second = publish(lake, **FIRST), publish(lake, **SECOND)

    def update(since: str | None, until: str) -> TableUpdate:
        return update_by_difference(lake, "prices", since, to_commit=until, shown=shown, key=["k"])

    def bring(since: str | None, until: str) -> tuple[int, int]:
        found = update(since, until)
        result = store.write(
            "t",
            found.items,
            key=["k"],
            mode="overwrite" if found.rebuild else "append",
            delete=found.delete,
            source_commit=until,
            expected_commit=since,
            check_expected=True,
        )
        return result.put, result.deleted

    def rows() -> str:
        return str([row for batch in store.scan("t") for row in batch.to_pylist()])

    assert bring(None, first) == (3, 0)
    before = rows()
    assert bring(first, second) == (2, 1)
    assert bring(second, first) == (2, 1)
    assert rows() == before
    assert update(first, first).items is None
    # A commit that this lake does not know, as of a write that was killed, and other columns: the table is built anew.
    assert update(f"unfinished-{first}", second).rebuild
    third = publish(lake, k=["a"], y=[1])
    assert update(second, third).rebuild
    store.close()
    lake.close()


def test_what_differs_is_on_disk(tmp_path: Path) -> None:
    lake, rows = GitLake(tmp_path / "home"), 100_000
    first = publish(lake, k=["one"], x=[1.0])
    second = publish(lake, k=[f"key {at}" for at in range(rows)], x=[1.0] * rows)
    before = pa.total_allocated_bytes()
    found = update_by_difference(lake, "prices", first, to_commit=second, shown=shown, key=["k"])
    assert (found.items.num_rows, found.delete.num_rows) == (rows, 1)
    assert pa.total_allocated_bytes() - before < 1 << 20
    lake.close()
