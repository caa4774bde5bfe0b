"""Rows by key: of equal keys, the last one stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from lake_assets.lake.rows import sql_name

if TYPE_CHECKING:
    import pyarrow
    from duckdb import DuckDBPyConnection


def last_of_each(connection: DuckDBPyConnection, rows: pyarrow.Table, key: Sequence[str]) -> pyarrow.Table:
    """Return the last row of each key, sorted by key.

    Parameters
    ----------
    connection
        A connection of DuckDB.
    rows
        The rows, in the order in which they came.
    key
        The key columns.
    """
    place = "lake_assets_place"
    connection.register("numbered", rows.append_column(place, pa.array(range(rows.num_rows), pa.int64())))
    listed, keys = (", ".join(map(sql_name, names)) for names in (rows.schema.names, key))
    found = connection.sql(
        f"SELECT {listed} FROM numbered QUALIFY row_number() OVER "  # noqa: S608
        f"(PARTITION BY {keys} ORDER BY {place} DESC) = 1 ORDER BY {keys}"
    )
    return found.to_arrow_table().cast(rows.schema)


def differences(
    connection: DuckDBPyConnection, before: pyarrow.Table, after: pyarrow.Table, key: Sequence[str]
) -> tuple[pyarrow.Table, pyarrow.Table]:
    """Return the rows that are new or changed, and the keys that are gone.

    Parameters
    ----------
    connection
        A connection of DuckDB.
    before, after
        Rows of the same columns, one of each key.
    key
        The key columns.
    """
    connection.register("rows_before", before)
    connection.register("rows_after", after)
    keys = ", ".join(map(sql_name, key))
    fresh = connection.sql("FROM rows_after EXCEPT FROM rows_before").to_arrow_table().cast(after.schema)
    gone = connection.sql(f"SELECT {keys} FROM rows_before EXCEPT SELECT {keys} FROM rows_after").to_arrow_table()  # noqa: S608
    return fresh, gone.cast(before.select(list(key)).schema)
