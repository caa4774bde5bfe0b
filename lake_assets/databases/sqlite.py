"""SQLite, by Python's own module. ADBC guesses types by the first rows; this goes by the declared types."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import pyarrow as pa

from lake_assets.databases.contract import Column, Database, DatabaseError, Selection, Value

if TYPE_CHECKING:
    import pyarrow

_ROWS = 1 << 14
# A time may be a number, which has no method of a text.
_WRONG = (ValueError, TypeError, AttributeError, ArithmeticError, pa.ArrowException)
_NUMERIC = re.compile(r"(?:NUMERIC|DECIMAL)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)", re.IGNORECASE)


class SQLite(Database):
    """A database file, which is only read.

    Parameters
    ----------
    url
        ``sqlite:///relative/path`` or ``sqlite:////absolute/path``.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.path = Path(unquote(url.partition("://")[2].removeprefix("/")))
        self.address = f"sqlite:///{self.path}"
        if not self.path.is_file():
            raise DatabaseError(f"{self.address}: there is no such file")
        with self.errors(sqlite3.Error):
            self._connection = sqlite3.connect(f"file:{quote(str(self.path.absolute()))}?mode=ro", uri=True)
            self._connection.execute("BEGIN")

    def columns(self, selection: Selection) -> Sequence[Column]:
        """Return the columns with their declared types; see :meth:`Database.columns`."""
        cursor = self._connection.cursor()
        with self.errors(sqlite3.Error):
            if selection.table:
                cursor.execute(f"SELECT 1 FROM {self.rows_of(selection)} LIMIT 0")
                *schema, table = map(self.name, selection.table.split("."))
                found = cursor.execute(f"PRAGMA {''.join(f'{part}.' for part in schema)}table_xinfo({table})")
            else:
                # A view knows the declared types of the columns that it takes from tables.
                cursor.execute("DROP VIEW IF EXISTS temp.lake_assets_selected")
                cursor.execute(f"CREATE TEMP VIEW lake_assets_selected AS SELECT * FROM {self.rows_of(selection)}")
                found = cursor.execute("PRAGMA temp.table_xinfo(lake_assets_selected)")
            # The last field is 1 for the hidden columns of virtual tables.
            rows = [row for row in found.fetchall() if row[6] != 1]
        return [Column(row[1], row[2], _type(row[2]), self.name(row[1])) for row in rows]

    def batches(self, sql: str, columns: Sequence[Column]) -> Iterator[pyarrow.RecordBatch]:
        """Yield the rows; see :meth:`Database.batches`."""
        schema = pa.schema([(column.name, column.type) for column in columns])
        with self.errors(sqlite3.Error):
            cursor = self._connection.execute(sql)
            while rows := cursor.fetchmany(_ROWS):
                arrays = [
                    self._array(column, values) for column, values in zip(columns, zip(*rows, strict=True), strict=True)
                ]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _array(self, column: Column, values: Sequence[Any]) -> pyarrow.Array:
        parse = _parser(column.type)
        try:
            return pa.array([None if value is None else parse(value) for value in values], column.type)
        except _WRONG as error:
            wrong = next((value for value in values if value is not None and not _fits(column.type, parse, value)), "")
            raise DatabaseError(
                f"{self.address}: column {column.name!r} is declared {column.declared or 'without a type'}, and holds "
                f"a {type(wrong).__name__} that is none ({' '.join(str(error).split())[:80]}): mend it, or cast the "
                "column in a query"
            ) from None

    def values(self, sql: str) -> Sequence[str | None]:
        """Return the values of one row; see :meth:`Database.values`."""
        with self.errors(sqlite3.Error):
            return self._connection.execute(sql).fetchone()

    def version(self, selection: Selection) -> str:
        """Return what the files tell that each change of the database touches; see :meth:`Database.version`."""
        with self.path.open("rb") as file:
            # SQLite counts here what it has committed without a write-ahead log.
            header = file.read(28)[24:].hex()
        told = [header]
        for path in (self.path, self.path.with_name(f"{self.path.name}-wal")):
            with suppress(FileNotFoundError):
                found = path.stat()
                told.append(f"{found.st_ino}:{found.st_size}:{found.st_mtime_ns}")
        return " ".join(told)

    def compared(self, column: Column) -> str:
        """Return a column; a time in one way of writing it, since SQLite compares texts."""
        name = self.name(column.name)
        return f"strftime('%Y-%m-%d %H:%M:%f', {name})" if isinstance(column.type, pa.TimestampType) else name

    def as_text(self, expression: str) -> str:
        """Return an expression as text."""
        return f"CAST({expression} AS TEXT)"

    def literal(self, value: Value) -> str:
        """Return a value, written in SQL: a time as :meth:`compared` writes it."""
        if isinstance(value, datetime):
            moment = value.astimezone(timezone.utc).replace(tzinfo=None) if value.tzinfo else value
            return self.text(moment.isoformat(" ", "milliseconds"))
        return super().literal(value)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _type(declared: str) -> pa.DataType:
    """Return the Arrow type of a declared type, by SQLite's own rules of affinity."""
    kind = declared.upper()
    if numeric := _NUMERIC.fullmatch(kind.strip()):
        precision, scale = int(numeric[1]), int(numeric[2] or 0)
        return pa.decimal128(precision, scale) if 0 < precision <= 38 and scale <= precision else pa.string()
    if "BOOL" in kind:
        return pa.bool_()
    if kind.startswith(("TIMESTAMP WITH TIME", "TIMESTAMPTZ")):
        return pa.timestamp("us", "UTC")
    if kind.startswith(("TIMESTAMP", "DATETIME")):
        return pa.timestamp("us")
    if kind == "DATE":
        return pa.date32()
    if "INT" in kind:
        return pa.int64()
    if "BLOB" in kind:
        return pa.binary()
    if any(word in kind for word in ("REAL", "FLOA", "DOUBLE")):
        return pa.float64()
    return pa.string()


def _parser(kind: pa.DataType) -> Callable[[Any], Any]:
    types = pa.types
    if types.is_boolean(kind):
        return _boolean
    if types.is_integer(kind):
        return _exactly(int)
    if types.is_floating(kind):
        return _float
    if types.is_binary(kind):
        return _exactly(bytes)
    if types.is_decimal(kind):
        return _decimal
    if types.is_date(kind):
        return date.fromisoformat
    if isinstance(kind, pa.TimestampType):
        return _instant if kind.tz else _time
    return _text


def _fits(kind: pa.DataType, parse: Callable[[Any], Any], value: Any) -> bool:
    try:
        pa.scalar(parse(value), kind)
    except _WRONG:
        return False
    return True


def _exactly(wanted: type) -> Callable[[Any], Any]:
    def parse(value: Any) -> Any:
        if type(value) is not wanted:
            raise TypeError(f"not of type {wanted.__name__}")
        return value

    return parse


def _boolean(value: Any) -> bool:
    if type(value) is int and value in (0, 1):
        return bool(value)
    raise ValueError("neither 0 nor 1")


def _float(value: Any) -> float:
    if isinstance(value, float) or (isinstance(value, int) and int(float(value)) == value):
        return float(value)
    raise TypeError("not a number")


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bytes):
        raise TypeError("not a number")
    # SQLite stores a number with decimals as a double. Its shortest text is what was written.
    return Decimal(repr(value) if isinstance(value, float) else str(value))


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        raise TypeError("not a text")
    return value if isinstance(value, str) else repr(value)


def _time(value: Any) -> datetime:
    found = datetime.fromisoformat(value.replace("Z", "+00:00"))
    if found.tzinfo is not None:
        raise ValueError("a time with a zone: declare the column TIMESTAMP WITH TIME ZONE")
    return found


def _instant(value: Any) -> datetime:
    found = datetime.fromisoformat(value.replace("Z", "+00:00"))
    return found if found.tzinfo is not None else found.replace(tzinfo=timezone.utc)
