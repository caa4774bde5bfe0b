"""SQL expressions over items, evaluated by DuckDB on batches. In conditions and filters, null counts as false."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute

from lake_assets.nosql.errors import NoSQLError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them


_WHOLE = re.compile(r"""(?<![\w.])(old|new)(?!\s*\.\s*[\w"])""", re.IGNORECASE)
"""``old`` or ``new`` without a column after it."""


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
        It is no expression, names an unknown column, or is not of one row alone: an aggregate, a window, a query.

    Examples
    --------
    >>> high = Expression("t", "greatest(old.high, new.high)", pa.schema([("new", item), ("old", item)]))
    """

    def __init__(self, table: str, text: str, rows: pa.Schema) -> None:
        self._table, self._text = table, text
        self._connection = connected()
        self._whole = _WHOLE.search(text) is not None
        if not text.strip():
            raise self._refused("it is empty")
        for names in (rows.names, *([one.name for one in kind] for kind in rows.types if pa.types.is_struct(kind))):
            self._check_case(names)
        self.type: pa.DataType = self.values(rows.empty_table()).type
        with self._translated():
            # DuckDB allows neither aggregates nor windows nor several rows here.
            self._connection.execute(f"SELECT 1 FROM rows WHERE ({text}\n) IS NULL").fetchall()  # noqa: S608
        if _has_query(syntax(f"SELECT ({text}\n)", self._connection)):
            raise self._refused("it has a query in it, and sees one row only")

    def may_name(self, column: str) -> bool:
        """Tell whether the expression may name a column of ``old`` or ``new``. It does if it names either as a whole.

        Parameters
        ----------
        column
            Name of the column.
        """
        return self._whole or '"' in column or column.lower() in self._text.lower()

    def values(self, rows: pa.Table) -> pa.ChunkedArray:
        """Return the expression's value of each row.

        Parameters
        ----------
        rows
            The rows.
        """
        with self._translated():
            self._connection.register("rows", rows)
            # The expression is the caller's own, and this connection can reach nothing else.
            query = f"SELECT ({self._text}\n) AS found FROM rows"  # noqa: S608
            return self._connection.sql(query).to_arrow_table().column("found")

    def _check_case(self, names: Sequence[str]) -> None:
        """Refuse to name a column that SQL does not tell from another one."""
        first: dict[str, str] = {}
        for name in names:
            other = first.setdefault(name.lower(), name)
            if other != name and self.may_name(name):
                raise self._refused(f"the names {other!r} and {name!r} differ in case only: rename one")

    @contextmanager
    def _translated(self) -> Generator[None]:
        import duckdb

        try:
            yield
        except duckdb.Error as error:
            raise self._refused(str(error).splitlines()[0]) from error

    def _refused(self, reason: str) -> NoSQLError:
        return NoSQLError(f"table {self._table!r}: the expression {self._text!r} is refused: {reason}")


class Condition(Expression):
    """An expression that is true or false.

    Parameters
    ----------
    table, text, rows
        As of :class:`Expression`.

    Raises
    ------
    NoSQLError
        It is no boolean expression, or names an unknown column.
    """

    def __init__(self, table: str, text: str, rows: pa.Schema) -> None:
        super().__init__(table, text, rows)
        if not pa.types.is_boolean(self.type):
            raise NoSQLError(f"table {table!r}: {text!r} is {self.type}, not true or false")

    def mask(self, rows: pa.Table) -> pa.Array:
        """Return whether the expression is true, row by row.

        Parameters
        ----------
        rows
            The rows.
        """
        return pc.fill_null(self.values(rows), False).combine_chunks()


def connected() -> DuckDBPyConnection:
    """Return a connection of DuckDB that reaches nothing outside, and no rows of another one."""
    return _database(os.getpid()).cursor()


@cache
def _database(process: int) -> DuckDBPyConnection:
    """Return the database of all expressions of a process. It is kept, since opening one takes 20 ms."""
    del process  # A fork has none of its parent's threads.
    import duckdb

    connection = duckdb.connect(config={"enable_external_access": "false", "threads": "1"})
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    return connection


def syntax(query: str, connection: DuckDBPyConnection) -> Any:
    """Return the syntax tree of a query, as of DuckDB's ``json_serialize_sql``.

    Parameters
    ----------
    query
        The query.
    connection
        A connection.
    """
    ((found,),) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [query]).fetchall()
    return json.loads(found)


def _has_query(node: Any) -> bool:
    if isinstance(node, dict):
        found: dict[str, Any] = node
        return found.get("class") == "SUBQUERY" or any(map(_has_query, found.values()))
    return isinstance(node, list) and any(map(_has_query, node))
