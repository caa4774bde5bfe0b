"""Conditions and filters: SQL expressions over items, evaluated by DuckDB on batches. Null counts as false."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from lake_assets.nosql.contract import NoSQLError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


class Expression:
    """An expression of one table.

    Parameters
    ----------
    table
        Name of the table, for errors.
    text
        The expression, in DuckDB's SQL.
    rows
        Columns that it may name.

    Raises
    ------
    NoSQLError
        It is no boolean expression, or names an unknown column.

    Examples
    --------
    >>> later = Expression("t", "new.day > old.day", pa.schema([("new", item), ("old", item)]))
    """

    def __init__(self, table: str, text: str, rows: pa.Schema) -> None:
        self._table, self._text = table, text
        self._connection = _connection()
        kind = self.mask(rows.empty_table()).type
        if not pa.types.is_boolean(kind):
            raise NoSQLError(f"table {table!r}: {text!r} is {kind}, not true or false")

    def mask(self, rows: pa.Table) -> pa.ChunkedArray:
        """Return whether the expression is true, row by row.

        Parameters
        ----------
        rows
            The rows.
        """
        with self._translated():
            self._connection.register("rows", rows)
            # The expression is the caller's own, and this connection can reach nothing else.
            query = f"SELECT coalesce(({self._text}\n), false) AS found FROM rows"  # noqa: S608
            found = self._connection.sql(query)
            return found.to_arrow_table().column("found")

    @contextmanager
    def _translated(self) -> Generator[None]:
        import duckdb

        try:
            yield
        except duckdb.Error as error:
            reason = str(error).splitlines()[0]
            raise NoSQLError(f"table {self._table!r}: the expression {self._text!r} is refused: {reason}") from error


def _connection() -> DuckDBPyConnection:
    import duckdb

    connection = duckdb.connect(config={"enable_external_access": "false", "threads": "1"})
    connection.execute("SET TimeZone = 'UTC'")
    return connection
