"""Published bars as rows of DuckDB, which reads them in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lake_assets.defs.stocks.schema import arrow_schema
from lake_assets.lake.rows import is_data, open_rows, place_in

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

    from lake_assets.lake.contract import Lake

PREFIX = "stocks_parquet"


def open_bars(
    connection: DuckDBPyConnection, name: str, lake: Lake, commit: str, prefixes: Sequence[str] = (PREFIX,)
) -> DuckDBPyRelation:
    """Return the bars of a commit.

    Parameters
    ----------
    connection
        Where the view ``<name>_files`` is created.
    name
        Name of the view, without its suffix.
    lake
        The lake.
    commit
        The commit.
    prefixes
        Folders of the bars. One that the commit does not hold has none.
    """
    columns = arrow_schema().names
    found = {item.path for prefix in prefixes for item in lake.list(commit, prefix) if is_data(item.path)}
    if not found:
        # DuckDB knows Python's names in this function.
        empty = arrow_schema().empty_table()
        return connection.from_arrow(empty)
    snapshot = lake.path(commit, PREFIX)
    open_rows(connection, name, snapshot, [place_in(snapshot, path) for path in sorted(found)])
    return connection.table(f"{name}_files").select(*columns)
