"""Reads all rows of a selection, or those that may have changed since a position."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lake_assets.databases.contract import CLOCKS_GO_BACK, Column, Database, DatabaseError, Selection, Value

if TYPE_CHECKING:
    import pyarrow

PARTS = 16
"""The number of ranges that a partition column is read in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is read of a database, and how.

    Parameters
    ----------
    selection
        The table or query.
    cursor
        A column that grows with each change of a row: a time, a date, a whole number or a text. Empty to read all rows
        each time.
    overlap
        How much before the highest value of the cursor the next run reads again, for rows that are committed late: a
        number, or a time.
    partition_column
        A column of whole numbers. The rows are read in ranges of it. Empty to read them by one query.
    """

    selection: Selection
    cursor: str = ""
    overlap: timedelta | int | None = None
    partition_column: str = ""

    def position(self, database: str, mark: str | None, horizon: str) -> dict[str, Any]:
        """Return the position after a read, as JSON. It is of this database, table or query, and cursor only.

        Parameters
        ----------
        database
            Address of the database, without secrets.
        mark
            The highest value of the cursor.
        horizon
            The horizon of the state that was read.
        """
        if not self.cursor:
            return {"database": database, "rows": self._rows}
        return {"database": database, "rows": self._rows, "cursor": self.cursor, "mark": mark, "horizon": horizon}

    def continues(self, database: str, position: Mapping[str, Any] | None) -> bool:
        """Tell whether a read can continue from a position.

        Parameters
        ----------
        database
            Address of the database, without secrets.
        position
            The position; None if there is none.
        """
        if position is None or not self.cursor or position.get("mark") is None:
            return False
        return self.is_of(database, position) and position.get("cursor") == self.cursor

    def is_of(self, database: str, position: Mapping[str, Any]) -> bool:
        """Tell whether a position is of this table or query of a database.

        Parameters
        ----------
        database
            Address of the database, without secrets.
        position
            The position.
        """
        return (position.get("database"), position.get("rows")) == (database, self._rows)

    @property
    def _rows(self) -> str:
        return self.selection.table or self.selection.query


@dataclass(frozen=True, slots=True)
class Read:
    """Rows, and the position after them.

    Parameters
    ----------
    rows
        The rows, which are read while they are consumed.
    position
        The position after them, as of :meth:`Reading.position`.
    whole
        Whether they are all rows, and not only those that may have changed.
    """

    rows: pyarrow.RecordBatchReader
    position: dict[str, Any]
    whole: bool


def read(database: Database, reading: Reading, since: Mapping[str, Any] | None = None) -> Read:
    """Read rows, batch by batch.

    If the highest value of the cursor is lower than before, the database was restored, or rows were deleted. Then all
    rows are read.

    Parameters
    ----------
    database
        The database, which stays open until the rows are consumed.
    reading
        What is read.
    since
        The position of an earlier read. None for all rows.

    Raises
    ------
    DatabaseError
        The database cannot be read, or a column is missing or of a type that does not serve.
    """
    selection = reading.selection
    columns = database.columns(selection)
    # Both before the rows: where a database has no snapshot for several queries, too little is claimed, never too much.
    horizon = database.horizon(selection) if reading.cursor else ""
    mark = None
    if reading.cursor:
        cursor = _column(database, columns, reading.cursor)
        if pa.types.is_binary(cursor.type) or pa.types.is_nested(cursor.type):
            raise DatabaseError(f"{database.address}: the cursor {cursor.name!r} is of type {cursor.declared}")
        mark = database.values(f"SELECT {database.highest(cursor)} FROM {database.rows_of(selection)}")[0]
        if since is not None and _is_back(database, cursor, mark, str(since["mark"])):
            since = None
    conditions = [_changed(database, reading, columns, since)] if since is not None else []

    def batches() -> Iterator[pyarrow.RecordBatch]:
        listed = ", ".join(f"{column.sql} AS {database.name(column.name)}" for column in columns)
        for part in ranges(database, reading, columns) if since is None else [""]:
            wanted = " AND ".join(filter(None, [*conditions, part]))
            where = f" WHERE {wanted}" if wanted else ""
            yield from database.batches(f"SELECT {listed} FROM {database.rows_of(selection)}{where}", columns)

    schema = pa.schema([(column.name, column.type) for column in columns])
    rows = pa.RecordBatchReader.from_batches(schema, batches())
    return Read(rows, reading.position(database.address, mark, horizon), since is None)


def is_beyond(database: Database, reading: Reading, position: Mapping[str, Any]) -> bool:
    """Tell whether there is a row whose cursor is higher than the highest one of an earlier read.

    Parameters
    ----------
    database
        The database.
    reading
        What is read.
    position
        The position after that read, which a read can continue from.
    """
    cursor = _column(database, database.columns(reading.selection), reading.cursor)
    beyond = database.since(cursor, _value(database, cursor, str(position["mark"])), beyond=True)
    return database.values(database.exists(database.rows_of(reading.selection), beyond))[0] != "0"


def _is_back(database: Database, cursor: Column, mark: str | None, before: str) -> bool:
    """Tell whether the highest value of a cursor is lower than before. The order of texts is the database's own."""
    if mark is None:
        return True
    if pa.types.is_string(cursor.type) or pa.types.is_floating(cursor.type) or pa.types.is_decimal(cursor.type):
        return False
    now, then = _value(database, cursor, mark), _value(database, cursor, before)
    return now < then  # pyright: ignore[reportOperatorIssue] -- of one column


def _changed(database: Database, reading: Reading, columns: Sequence[Column], since: Mapping[str, Any]) -> str:
    """Return the condition for rows that may have changed since a position."""
    cursor = _column(database, columns, reading.cursor)
    start = _minus(database, cursor, _value(database, cursor, str(since["mark"])), reading.overlap)
    if isinstance(start, datetime) and start.tzinfo is None and not since.get("horizon"):
        # If it is local time, what is written in the hour when clocks go back is before the highest value.
        start = max(start, datetime.min + CLOCKS_GO_BACK) - CLOCKS_GO_BACK
    changed = database.since(cursor, start)
    # A cursor that is null tells nothing of when the row was changed.
    otherwise = (
        database.since_horizon(since["horizon"]) if since.get("horizon") else f"{database.compared(cursor)} IS NULL"
    )
    return f"({changed} OR {otherwise})"


def ranges(database: Database, reading: Reading, columns: Sequence[Column]) -> Iterator[str]:
    """Yield the conditions of the ranges that all rows are read in. One that is empty is that of all rows.

    Parameters
    ----------
    database
        The database.
    reading
        What is read.
    columns
        The columns of its selection.

    Raises
    ------
    DatabaseError
        The partition column is missing, or has no whole numbers.
    """
    if not reading.partition_column:
        yield ""
        return
    column = _column(database, columns, reading.partition_column)
    if not pa.types.is_integer(column.type):
        raise DatabaseError(
            f"{database.address}: {column.name!r} is of type {column.declared}: a partition column has whole numbers"
        )
    name = database.compared(column)
    ends = ", ".join(database.as_text(f"{end}({name})") for end in ("min", "max"))
    lowest, highest = database.values(f"SELECT {ends} FROM {database.rows_of(reading.selection)}")
    if lowest is None or highest is None:
        yield ""
        return
    step = (int(highest) - int(lowest)) // PARTS + 1
    starts = range(int(lowest), int(highest) + 1, step)
    for start in starts:
        # What is added meanwhile belongs to the last range.
        above = f" AND {name} < {start + step}" if start != starts[-1] else ""
        below = f"{name} >= {start}" if start != starts[0] else f"{name} IS NOT NULL"
        yield f"{below}{above}"
    yield f"{name} IS NULL"


def _column(database: Database, columns: Sequence[Column], name: str) -> Column:
    found = next((column for column in columns if column.name == name), None)
    if found is None:
        listed = ", ".join(column.name for column in columns)
        raise DatabaseError(f"{database.address}: there is no column {name!r}, but {listed}")
    return found


def _value(database: Database, column: Column, text: str) -> Value:
    """Return a cursor's value from its text."""
    kind = column.type
    try:
        if pa.types.is_integer(kind):
            return int(text)
        if pa.types.is_date(kind):
            return date.fromisoformat(text)
        if isinstance(kind, pa.TimestampType):
            # PostgreSQL writes +00, and as few digits of a second as there are.
            moment = pa.scalar(text.replace("+00", "").strip()).cast(pa.timestamp("us")).as_py()
            return moment.replace(tzinfo=timezone.utc) if kind.tz else moment
    except (ValueError, OverflowError) as error:
        raise DatabaseError(
            f"{database.address}: the highest value of the cursor {column.name!r} of type {column.declared} is {text}: "
            "leave such rows out by a query"
        ) from error
    return text


def _minus(database: Database, column: Column, value: Value, overlap: timedelta | int | None) -> Value:
    if overlap is None:
        return value
    if isinstance(value, datetime | date) and isinstance(overlap, timedelta):
        first = type(value).min.replace(tzinfo=value.tzinfo) if isinstance(value, datetime) else date.min
        return value - min(overlap, value - first)  # pyright: ignore[reportOperatorIssue] -- of one type
    if isinstance(value, int) and isinstance(overlap, int):
        return value - overlap
    raise DatabaseError(
        f"{database.address}: the overlap {overlap!r} does not fit the cursor {column.name!r} of type "
        f"{column.declared}: give a timedelta for times, and a whole number for numbers"
    )
