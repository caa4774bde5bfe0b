"""Updates of a sink's table by the rows of what it shows that differ between two commits."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lake_assets.io_managers.table_update import TableUpdate, on_disk
from lake_assets.lake.contract import Lake
from lake_assets.lake.errors import RefNotFound
from lake_assets.lake.rows import bounded_connection, is_data, open_rows, place_in
from lake_assets.nosql.difference import row_difference

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

    Shows = Callable[[DuckDBPyConnection, Lake, str], DuckDBPyRelation]
    """Returns what a table shows of a commit."""


def update_by_difference(
    lake: Lake,
    prefix: str,
    from_commit: str | None,
    *,
    to_commit: str,
    shown: Shows,
    key: Sequence[str],
) -> TableUpdate:
    """Return what brings a table from one commit to another: rows to put, and keys to delete. They are on disk.

    Parameters
    ----------
    lake
        Both commits' lake.
    prefix
        Folder of the asset that the table is fed from.
    from_commit
        Commit that the table reflects; None, or one this lake does not know, for a table to be built anew.
    to_commit
        A published commit, not older than ``from_commit``.
    shown
        Returns what the table shows of a commit.
    key
        The key columns of the table.
    """
    version = lake.fingerprint(to_commit, prefix) or "empty"
    try:
        same = from_commit is not None and lake.fingerprint(from_commit, prefix) == lake.fingerprint(to_commit, prefix)
    except RefNotFound:
        known = False
    else:
        known = from_commit is not None
        if same:
            return TableUpdate(from_commit, to_commit, version)
    with tempfile.TemporaryDirectory(prefix="lake-assets-") as folder:
        before, after = Path(folder) / "before.parquet", Path(folder) / "after.parquet"
        _write(lake, to_commit, shown, after)
        if known and from_commit is not None:
            _write(lake, from_commit, shown, before)
        with bounded_connection() as connection:
            new = connection.read_parquet(str(after))
            old = connection.read_parquet(str(before)) if known else None
            if old is None or (old.columns, old.types) != (new.columns, new.types):
                return TableUpdate(from_commit, to_commit, version, on_disk(new), rebuild=True)
            items, gone = map(on_disk, row_difference(old, new, key))
    return TableUpdate(from_commit, to_commit, version, items, delete=gone, exact=True)


def _write(lake: Lake, commit: str, shown: Shows, file: Path) -> None:
    # A connection of its own, since a function may make views of one name for any commit.
    with bounded_connection() as connection:
        shown(connection, lake, commit).write_parquet(str(file))


def rows_at(connection: DuckDBPyConnection, lake: Lake, commit: str, prefix: str) -> DuckDBPyRelation | None:
    """Return all rows of an unpartitioned asset at a commit. None if the commit does not hold it.

    Parameters
    ----------
    connection
        A connection of DuckDB.
    lake, commit, prefix
        Where the asset is.
    """
    paths = [item.path for item in lake.list(commit, prefix) if is_data(item.path)]
    if not paths:
        return None
    snapshot = lake.path(commit, prefix)
    name = f"{prefix}_{commit}".replace("/", "_").replace(".", "_")
    name = "".join(letter if letter.isalnum() else "_" for letter in name)
    open_rows(connection, name, snapshot, [place_in(snapshot, path) for path in paths])
    return connection.table(f"{name}_files")
