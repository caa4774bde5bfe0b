"""MySQL and MariaDB, by connectorx. It loses precision on some types, so those are read as text and parsed here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.compute

from lake_assets.databases.contract import CLOCKS_GO_BACK, Column, Database, DatabaseError, Selection, Value

if TYPE_CHECKING:
    import pyarrow

pc: Any = pyarrow.compute
_ROWS = 1 << 16
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")
_TEXTS = (
    "char",
    "varchar",
    "tinytext",
    "text",
    "mediumtext",
    "longtext",
    "enum",
    "set",
    "json",
    "time",
    "uuid",
    "inet",
)
_BYTES = ("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob")


class MySQL(Database):
    """Connections of connectorx: one for each query, so a read in several parts has a state for each.

    Parameters
    ----------
    url
        ``mysql://USER:PASSWORD@HOST:PORT/DATABASE``.
    """

    quote = "`"

    def __init__(self, url: str) -> None:
        super().__init__("mysql://" + url.partition("://")[2])
        try:
            import connectorx
        except ImportError:
            raise DatabaseError(
                f"{self.address}: MySQL needs the package connectorx: pip install 'lake_assets[databases]'"
            ) from None
        self._connectorx = connectorx

    def text(self, value: str) -> str:
        """Return a text, quoted for SQL, where a backslash escapes."""
        return super().text(value.replace("\\", "\\\\"))

    def columns(self, selection: Selection) -> Sequence[Column]:
        """Return the columns with their declared types; see :meth:`Database.columns`."""
        if selection.table:
            name = self.rows_of(selection)
            found = self._read(f"SHOW COLUMNS FROM {name}").to_pylist()
            return [self._column(_as_text(row["Field"]), _as_text(row["Type"])) for row in found]
        # A query's declared types are those of a view, which would have to be made: the types of its values serve.
        empty = self._read(f"SELECT * FROM {self.rows_of(selection)} LIMIT 0")
        return [self._column_of(field) for field in empty.schema]

    def _column(self, name: str, declared: str) -> Column:
        sql, base = self.name(name), declared.lower().partition("(")[0].split()[0]
        if decimal := _DECIMAL.match(declared.lower()):
            precision, scale = int(decimal[1]), int(decimal[2])
            kind = pa.decimal128(precision, scale) if precision <= 38 else pa.string()
            return Column(name, declared, kind, f"CAST({sql} AS CHAR)")
        if declared.lower() == "tinyint(1)":
            return Column(name, declared, pa.bool_(), f"CAST({sql} AS SIGNED)")
        if base == "bit":
            bits = int(declared[4:-1])
            return self._column(name, "tinyint(1)" if bits == 1 else "bigint unsigned" if bits == 64 else "bigint")
        if base in ("tinyint", "smallint", "mediumint", "int", "bigint", "year"):
            if base == "bigint" and "unsigned" in declared.lower():
                return Column(name, declared, pa.decimal128(20, 0), f"CAST(CAST({sql} AS UNSIGNED) AS CHAR)")
            return Column(name, declared, pa.int64(), f"CAST({sql} AS SIGNED)")
        if base in ("float", "double"):
            return Column(name, declared, pa.float64(), f"CAST({sql} AS DOUBLE)")
        if base == "date":
            return Column(name, declared, pa.date32(), f"CAST({sql} AS CHAR)")
        if base == "datetime":
            return Column(name, declared, pa.timestamp("us"), f"CAST({sql} AS CHAR)")
        if base == "timestamp":
            # The date 0000-00-00 has no time in UTC. It is no null: it is read as it is, and refused.
            found = f"COALESCE({_in_utc(f'NULLIF(UNIX_TIMESTAMP({sql}), 0)')}, CAST({sql} AS CHAR))"
            return Column(name, declared, pa.timestamp("us", "UTC"), found)
        if base in _BYTES:
            return Column(name, declared, pa.binary(), f"HEX({sql})")
        if base.startswith(_TEXTS):
            return Column(name, declared, pa.string(), f"CAST({sql} AS CHAR)")
        raise DatabaseError(f"{self.address}: column {name!r} is of type {declared}: cast it in a query")

    def _column_of(self, field: pyarrow.Field) -> Column:
        """Return a column of a query by the type that connectorx gives its values."""
        kind, types = field.type, pa.types
        if types.is_integer(kind):
            return self._column(field.name, "bigint" if kind != pa.uint64() else "bigint unsigned")
        if types.is_floating(kind) or types.is_boolean(kind):
            return self._column(field.name, "double" if types.is_floating(kind) else "tinyint(1)")
        if isinstance(kind, pa.Decimal128Type):
            # It does not know the declared precision: the widest one holds all.
            return Column(field.name, "decimal", pa.string(), f"CAST({self.name(field.name)} AS CHAR)")
        if types.is_date32(kind):
            return self._column(field.name, "date")
        if types.is_date64(kind) or types.is_timestamp(kind):
            return self._column(field.name, "datetime")
        if types.is_binary(kind) or types.is_large_binary(kind):
            return self._column(field.name, "blob")
        return self._column(field.name, "text")

    def batches(self, sql: str, columns: Sequence[Column]) -> Iterator[pyarrow.RecordBatch]:
        """Yield the rows; see :meth:`Database.batches`."""
        schema = pa.schema([(column.name, column.type) for column in columns])
        for batch in self._read(sql, "arrow_stream"):
            arrays = [self._array(column, values) for column, values in zip(columns, batch.columns, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _array(self, column: Column, values: pyarrow.Array) -> pyarrow.Array:
        kind = column.type
        try:
            if pa.types.is_binary(kind):
                return pa.array([None if value is None else bytes.fromhex(value) for value in values.to_pylist()], kind)
            if pa.types.is_boolean(kind):
                if pc.any(pc.invert(pc.is_in(values, value_set=pa.array([0, 1, None], values.type)))).as_py():
                    raise ValueError("neither 0 nor 1")
                return pc.not_equal(values, 0)
            if isinstance(kind, pa.TimestampType):
                moments = pc.strptime(pc.utf8_slice_codeunits(values, 0, 19), "%Y-%m-%d %H:%M:%S", "us")
                fraction = pc.utf8_rpad(pc.utf8_slice_codeunits(values, 20, 26), 6, "0")
                micros = pc.cast(pc.cast(fraction, pa.int64()), pa.duration("us"))
                return pc.cast(pc.add(moments, micros), pa.timestamp("us")).cast(kind)
            return values.cast(kind)
        except (ValueError, pa.ArrowException) as error:
            raise DatabaseError(
                f"{self.address}: column {column.name!r} of type {column.declared} holds a value that {kind} does not "
                f"({' '.join(str(error).split())[:80]}): cast it in a query"
            ) from None

    def values(self, sql: str) -> Sequence[str | None]:
        """Return the values of one row; see :meth:`Database.values`."""
        return [column[0].as_py() for column in self._read(sql).columns]

    def version(self, selection: Selection) -> str:
        """Return the time of a table's last change. MySQL itself does not tell it; see :meth:`Database.version`."""
        if not selection.table or "MariaDB" not in str(self.values("SELECT VERSION()")[0]):
            return ""
        *schema, table = selection.table.split(".")
        schema = self.text(schema[0]) if schema else "DATABASE()"
        # It has whole seconds, and in the last of them more may come. It is not known after a start of the server.
        settled = "UPDATE_TIME < NOW() - INTERVAL 1 SECOND"
        found = self._read(
            "SELECT CAST(max(CASE WHEN UPDATE_TIME IS NULL THEN 'unchanged since the start' "
            f"WHEN {settled} THEN UPDATE_TIME ELSE NOW(6) END) AS CHAR) AS version FROM information_schema.TABLES "
            f"WHERE TABLE_SCHEMA = {schema} AND TABLE_NAME = {self.text(table)} "
            "AND ENGINE IN ('InnoDB', 'Aria', 'MyISAM')"
        )
        return _as_text(found.columns[0][0].as_py() or "")

    def since(self, column: Column, value: Value, *, beyond: bool = False) -> str:
        """Return the condition that a cursor is at least a value; see :meth:`Database.since`.

        The server compares instants by what a clock of its zone shows, which is ambiguous in the hour when clocks go
        back. So that comparison, which an index serves, is an hour wider, and the seconds since 1970 decide.
        """
        if not (isinstance(value, datetime) and value.tzinfo):
            return super().since(column, value, beyond=beyond)
        name = self.name(column.name)
        seconds, rest = divmod((value - _EPOCH) // timedelta(microseconds=1), 1_000_000)
        exact = f"UNIX_TIMESTAMP({name}) {'>' if beyond else '>='} {seconds}.{rest:06}"
        return f"({name} >= {self.literal(value - CLOCKS_GO_BACK)} AND {exact})"

    def highest(self, column: Column) -> str:
        """Return the highest value of a cursor as text: an instant in UTC, whatever the session's zone is."""
        if isinstance(column.type, pa.TimestampType) and column.type.tz:
            return _in_utc(f"max(UNIX_TIMESTAMP({self.name(column.name)}))")
        return super().highest(column)

    def as_text(self, expression: str) -> str:
        """Return an expression as text."""
        return f"CAST({expression} AS CHAR)"

    def literal(self, value: Value) -> str:
        """Return a value, written in SQL: the instants of a session are in its time zone."""
        if isinstance(value, datetime) and value.tzinfo:
            plain = value.astimezone(timezone.utc).replace(tzinfo=None)
            return f"CONVERT_TZ({self.text(plain.isoformat(sep=' '))}, '+00:00', @@session.time_zone)"
        return super().literal(value)

    def close(self) -> None:
        """Do nothing: each query had a connection of its own."""

    def _read(self, sql: str, kind: Literal["arrow", "arrow_stream"] = "arrow") -> Any:
        # The declared type of the result depends on the text.
        read: Any = self._connectorx.read_sql
        try:
            options = {"batch_size": _ROWS} if kind == "arrow_stream" else {}
            return read(self._url, sql, return_type=kind, **options)
        except BaseException as error:
            # What breaks in connectorx' Rust code is a panic, which is no Exception.
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            told = str(error)
        raise self.failure(told)


def _as_text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _in_utc(seconds: str) -> str:
    """Return seconds since 1970 as text in UTC. The session's own time would be ambiguous once a year."""
    return f"CAST(TIMESTAMP'1970-01-01 00:00:00' + INTERVAL 1000000 * {seconds} MICROSECOND AS CHAR)"
