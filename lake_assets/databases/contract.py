"""The contract of a database: the columns of a table or query, and its rows as Arrow batches of exactly these types."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, ClassVar

from lake_assets.text.masking import mask

if TYPE_CHECKING:
    import pyarrow


CLOCKS_GO_BACK = timedelta(hours=1)
"""By how much clocks go back once a year. A time without a zone may be what such a clock showed."""


class DatabaseError(Exception):
    """A database cannot be read. The message names it without credentials, and the remedy."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What is read: a table, with or without its schema, or a query.

    Parameters
    ----------
    table
        Name of the table, such as ``customers`` or ``sales.customers``.
    query
        A query, instead of a table.
    """

    table: str = ""
    query: str = ""

    def __post_init__(self) -> None:
        if bool(self.table) == bool(self.query):
            raise DatabaseError("give either a table or a query")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a selection.

    Parameters
    ----------
    name
        Its name.
    declared
        Its type in the database.
    type
        The Arrow type that its values get.
    sql
        The expression that is selected for it: often a cast to text, which is parsed here without loss.
    """

    name: str
    declared: str
    type: pyarrow.DataType
    sql: str


Value = int | str | date | datetime
"""A value of a cursor or partition column."""


class Database(ABC):
    """A connection to a database. It reads one consistent state, if the database can.

    Parameters
    ----------
    url
        Address with credentials. It is in no error.
    """

    quote: ClassVar[str] = '"'
    changed_rows: ClassVar[bool] = False
    """Whether :meth:`horizon` is known, so that no row is missed whatever its cursor says."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.address = mask(url)

    @abstractmethod
    def columns(self, selection: Selection) -> Sequence[Column]:
        """Return the columns of a selection.

        Parameters
        ----------
        selection
            The table or query.

        Raises
        ------
        DatabaseError
            There is no such table, or the query is not valid.
        """

    @abstractmethod
    def batches(self, sql: str, columns: Sequence[Column]) -> Iterator[pyarrow.RecordBatch]:
        """Yield the rows of a query, in the types of the columns.

        Parameters
        ----------
        sql
            A query that selects the expressions of the columns.
        columns
            The columns.
        """

    @abstractmethod
    def values(self, sql: str) -> Sequence[str | None]:
        """Return the values of the only row of a query, all of which are texts or null.

        Parameters
        ----------
        sql
            A query.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""

    def horizon(self, selection: Selection) -> str:
        """Return the position of the state that is read, for :meth:`since_horizon`. Empty if there is none.

        Parameters
        ----------
        selection
            The table or query.
        """
        del selection
        return ""

    def since_horizon(self, horizon: str) -> str:
        """Return a condition for the rows that may have been committed after a horizon: all, where there is none.

        Parameters
        ----------
        horizon
            As :meth:`horizon` returned it.
        """
        del horizon
        return "1 = 1"

    def version(self, selection: Selection) -> str:
        """Return a text that is another one after each change of the rows, found without reading them.

        It may change without a change of the rows. What it counts may be in no snapshot, so ask for it before the rows,
        on a connection of its own. Empty where the database does not tell.

        Parameters
        ----------
        selection
            The table or query.
        """
        del selection
        return ""

    def name(self, name: str) -> str:
        """Return a name, quoted for SQL.

        Parameters
        ----------
        name
            The name of a column or table.
        """
        return self.quote + name.replace(self.quote, self.quote * 2) + self.quote

    def text(self, value: str) -> str:
        """Return a text, quoted for SQL.

        Parameters
        ----------
        value
            The text.
        """
        return "'" + value.replace("'", "''") + "'"

    def compared(self, column: Column) -> str:
        """Return the expression that a cursor or partition column is compared by.

        Parameters
        ----------
        column
            The column.
        """
        return self.name(column.name)

    def since(self, column: Column, value: Value, *, beyond: bool = False) -> str:
        """Return the condition that a cursor is at least a value.

        Parameters
        ----------
        column
            The column.
        value
            The value.
        beyond
            Whether it is to be more than the value.
        """
        return f"{self.compared(column)} {'>' if beyond else '>='} {self.literal(value)}"

    def highest(self, column: Column) -> str:
        """Return the expression for the highest value of a cursor, as text.

        Parameters
        ----------
        column
            The column.
        """
        return self.as_text(f"max({self.compared(column)})")

    def exists(self, rows: str, condition: str) -> str:
        """Return a query of one text, which is 0 if there is no row that a condition holds for.

        Parameters
        ----------
        rows
            What stands behind FROM.
        condition
            The condition.
        """
        return f"SELECT {self.as_text('count(*)')} FROM (SELECT 1 AS one FROM {rows} WHERE {condition} LIMIT 1) found"

    @abstractmethod
    def as_text(self, expression: str) -> str:
        """Return an expression as text, for :meth:`values`.

        Parameters
        ----------
        expression
            An expression over :meth:`compared`.
        """

    def literal(self, value: Value) -> str:
        """Return a value of a cursor or partition column, written in SQL.

        Parameters
        ----------
        value
            The value. A time with a zone is that of a column with one.
        """
        if isinstance(value, int):
            return str(value)
        if isinstance(value, datetime):
            zoned = value.astimezone(timezone.utc).replace(tzinfo=None) if value.tzinfo else value
            return self.text(zoned.isoformat(sep=" ") + ("+00" if value.tzinfo else ""))
        return self.text(value.isoformat() if isinstance(value, date) else value)

    def rows_of(self, selection: Selection) -> str:
        """Return what stands behind FROM.

        Parameters
        ----------
        selection
            The table or query.
        """
        if selection.table:
            return ".".join(map(self.name, selection.table.split(".")))
        return f"({selection.query.strip().rstrip(';')}\n) selected"

    @contextmanager
    def errors(self, *kinds: type[Exception]) -> Generator[None]:
        """Turn a driver's errors into one line without credentials.

        Parameters
        ----------
        kinds
            Classes of the driver's errors.
        """
        try:
            yield
        except kinds as error:
            # Not chained: a driver's own error may hold the address with its password.
            raise self.failure(str(error)) from None

    def failure(self, told: str) -> DatabaseError:
        """Return an error of one line without credentials.

        Parameters
        ----------
        told
            What the driver says.
        """
        return DatabaseError(f"{self.address}: {mask(' '.join(told.split()).replace(self._url, self.address))}")
