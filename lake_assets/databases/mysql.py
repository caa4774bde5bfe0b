"""MySQL and MariaDB, by connectorx."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pyarrow as pa

from lake_assets.databases.by_connectorx import ByConnectorX, as_text
from lake_assets.databases.contract import CLOCKS_GO_BACK, Column, DatabaseError, Selection, Value

if TYPE_CHECKING:
    import pyarrow

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


class MySQL(ByConnectorX):
    """MySQL or MariaDB.

    Parameters
    ----------
    url
        ``mysql://USER:PASSWORD@HOST:PORT/DATABASE``.
    """

    quote = "`"

    def __init__(self, url: str) -> None:
        super().__init__("mysql://" + url.partition("://")[2])

    def text(self, value: str) -> str:
        """Return a text, quoted for SQL, where a backslash escapes."""
        return super().text(value.replace("\\", "\\\\"))

    def columns(self, selection: Selection) -> Sequence[Column]:
        """Return the columns with their declared types; see :meth:`Database.columns`."""
        if selection.table:
            name = self.rows_of(selection)
            found = self.table_of(f"SHOW COLUMNS FROM {name}").to_pylist()
            return [self._column(as_text(row["Field"]), as_text(row["Type"])) for row in found]
        # A query's declared types are those of a view, which would have to be made: the types of its values serve.
        empty = self.table_of(f"SELECT * FROM {self.rows_of(selection)} LIMIT 0")
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

    def version(self, selection: Selection) -> str:
        """Return the time of a table's last change. MySQL itself does not tell it; see :meth:`Database.version`."""
        if not selection.table or "MariaDB" not in str(self.values("SELECT VERSION()")[0]):
            return ""
        *schema, table = selection.table.split(".")
        schema = self.text(schema[0]) if schema else "DATABASE()"
        # It has whole seconds, and in the last of them more may come. It is not known after a start of the server.
        settled = "UPDATE_TIME < NOW() - INTERVAL 1 SECOND"
        found = self.table_of(
            "SELECT CAST(max(CASE WHEN UPDATE_TIME IS NULL THEN 'unchanged since the start' "
            f"WHEN {settled} THEN UPDATE_TIME ELSE NOW(6) END) AS CHAR) AS version FROM information_schema.TABLES "
            f"WHERE TABLE_SCHEMA = {schema} AND TABLE_NAME = {self.text(table)} "
            "AND ENGINE IN ('InnoDB', 'Aria', 'MyISAM')"
        )
        return as_text(found.columns[0][0].as_py() or "")

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


def _in_utc(seconds: str) -> str:
    """Return seconds since 1970 as text in UTC. The session's own time would be ambiguous once a year."""
    return f"CAST(TIMESTAMP'1970-01-01 00:00:00' + INTERVAL 1000000 * {seconds} MICROSECOND AS CHAR)"
