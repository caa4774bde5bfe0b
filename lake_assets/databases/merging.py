"""Merges fresh rows into stored ones by key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from lake_assets.lake.rows import open_rows, sql_name

if TYPE_CHECKING:
    import pyarrow
    from duckdb import DuckDBPyConnection

    from lake_assets.lake.contract import Snapshot


@dataclass(frozen=True, slots=True)
class Merged:
    """Stored rows with fresh ones in place of those with the same keys.

    Parameters
    ----------
    rows
        All rows. None if no fresh row differs from the stored one.
    read, changed
        The number of fresh rows, and of those that are new or differ.
    """

    rows: pyarrow.RecordBatchReader | None
    read: int
    changed: int


def merge(
    connection: DuckDBPyConnection,
    stored: Snapshot,
    files: Sequence[str],
    fresh: pyarrow.RecordBatchReader,
    key: Sequence[str],
) -> Merged:
    """Merge fresh rows into stored ones.

    Parameters
    ----------
    connection
        A connection of DuckDB, which stays open until the rows are consumed.
    stored
        The stored rows.
    files
        Their files on its file system.
    fresh
        The fresh rows, in the same columns.
    key
        Names of the key columns.
    """
    open_rows(connection, "stored", stored, files)
    connection.from_arrow(fresh.schema.empty_table()).create("fresh")
    # Read here, batch by batch: within DuckDB, an error of the database would lose its name, and SQLite its thread.
    for batch in fresh:
        connection.from_arrow(pa.Table.from_batches([batch])).insert_into("fresh")
    names = ", ".join(map(sql_name, fresh.schema.names))
    # Compared as a table with the stored rows' types.
    connection.execute(f"CREATE VIEW stored_rows AS SELECT {names} FROM stored_files")
    read, changed = (
        connection.execute(query).fetchall()[0][0]
        for query in (
            "SELECT count(*) FROM fresh",
            "SELECT count(*) FROM (FROM fresh EXCEPT FROM stored_rows)",
        )
    )
    if not changed:
        return Merged(None, read, 0)
    # A part of a key may be null.
    same = " AND ".join(f"f.{sql_name(name)} IS NOT DISTINCT FROM s.{sql_name(name)}" for name in key)
    rows = connection.sql(
        f"SELECT {names} FROM fresh UNION ALL "
        f"SELECT {names} FROM stored_rows s WHERE NOT EXISTS (FROM fresh f WHERE {same})"
    )
    return Merged(rows.to_arrow_reader(1 << 16), read, changed)
