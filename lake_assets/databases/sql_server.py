"""SQL Server, by connectorx. It was never tried on a real server."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timezone

import pyarrow as pa

from lake_assets.databases.by_connectorx import ByConnectorX, as_text
from lake_assets.databases.contract import Column, DatabaseError, Selection, Value

_DECIMAL = re.compile(r"(?:decimal|numeric)\((\d+),(\d+)\)")
_MONEY = {"money": pa.decimal128(19, 4), "smallmoney": pa.decimal128(10, 4)}
_TEXTS = ("char", "varchar", "nchar", "nvarchar", "text", "ntext", "xml", "sysname")
_BYTES = ("binary", "varbinary", "image")


class SQLServer(ByConnectorX):
    """SQL Server.

    Parameters
    ----------
    url
        ``mssql://USER:PASSWORD@HOST:PORT/DATABASE``.
    """

    def columns(self, selection: Selection) -> Sequence[Column]:
        """Return the columns with their declared types, also of a query; see :meth:`Database.columns`."""
        rows = self.text(f"SELECT * FROM {self.rows_of(selection)}")
        found = self.table_of(
            "SELECT column_ordinal, name, system_type_name, error_message "
            f"FROM sys.dm_exec_describe_first_result_set({rows}, NULL, 0) ORDER BY column_ordinal"
        ).to_pylist()
        for row in found:
            if row["error_message"] is not None:
                raise self.failure(as_text(row["error_message"]))
        return [self._column(as_text(row["name"]), as_text(row["system_type_name"])) for row in found]

    def text(self, value: str) -> str:
        """Return a text, quoted for SQL, of any characters."""
        return "N" + super().text(value)

    def _column(self, name: str, declared: str) -> Column:
        sql, base = self.name(name), declared.lower().partition("(")[0]
        if decimal := _DECIMAL.fullmatch(declared.lower()):
            return Column(
                name, declared, pa.decimal128(int(decimal[1]), int(decimal[2])), f"CONVERT(varchar(50), {sql})"
            )
        if base in _MONEY:
            # Style 2 is that of four digits behind the dot.
            return Column(name, declared, _MONEY[base], f"CONVERT(varchar(50), {sql}, 2)")
        if base == "bit":
            return Column(name, declared, pa.bool_(), f"CAST({sql} AS bigint)")
        if base in ("tinyint", "smallint", "int", "bigint"):
            return Column(name, declared, pa.int64(), f"CAST({sql} AS bigint)")
        if base in ("real", "float"):
            return Column(name, declared, pa.float64(), f"CAST({sql} AS float)")
        if base == "date":
            return Column(name, declared, pa.date32(), f"CONVERT(varchar(10), {sql}, 23)")
        if base in ("datetime", "smalldatetime", "datetime2"):
            return Column(name, declared, pa.timestamp("us"), f"CONVERT(varchar(27), {sql}, 121)")
        if base == "datetimeoffset":
            return Column(name, declared, pa.timestamp("us", "UTC"), _in_utc(sql))
        if base in _BYTES:
            # Style 2 is hexadecimal without 0x.
            return Column(name, declared, pa.binary(), f"CONVERT(varchar(max), CAST({sql} AS varbinary(max)), 2)")
        if base == "time":
            return Column(name, declared, pa.string(), f"CONVERT(varchar(16), {sql})")
        if base == "uniqueidentifier":
            return Column(name, declared, pa.string(), f"CONVERT(varchar(36), {sql})")
        if base in _TEXTS:
            return Column(name, declared, pa.string(), f"CAST({sql} AS nvarchar(max))")
        raise DatabaseError(f"{self.address}: column {name!r} is of type {declared}: cast it in a query")

    def failure(self, told: str) -> DatabaseError:
        """Return an error of one line without credentials. The driver does not tell why it gets no connection."""
        if "bb8" in told:
            told = "no connection within 30 s: is the server there, and are user, password and encryption right?"
        return super().failure(told)

    def highest(self, column: Column) -> str:
        """Return the highest value of a cursor as text, cut off behind the microseconds."""
        name = f"max({self.name(column.name)})"
        if isinstance(column.type, pa.TimestampType):
            found = _in_utc(name) if column.type.tz else f"CONVERT(varchar(27), {name}, 121)"
            return f"LEFT({found}, 26)"
        return f"CONVERT(varchar(10), {name}, 23)" if pa.types.is_date(column.type) else self.as_text(name)

    def exists(self, rows: str, condition: str) -> str:
        """Return a query of 1 if there is such a row; see :meth:`Database.exists`."""
        return f"SELECT {self.as_text('count(*)')} FROM (SELECT TOP 1 1 AS one FROM {rows} WHERE {condition}) found"

    def as_text(self, expression: str) -> str:
        """Return an expression as text."""
        return f"CAST({expression} AS nvarchar(max))"

    def literal(self, value: Value) -> str:
        """Return a value, written in SQL so that no setting of the session changes it."""
        if isinstance(value, datetime):
            plain = value.astimezone(timezone.utc).replace(tzinfo=None) if value.tzinfo else value
            kind, zone = ("datetimeoffset", "+00:00") if value.tzinfo else ("datetime2", "")
            return f"CAST({self.text(plain.isoformat() + zone)} AS {kind})"
        return super().literal(value)


def _in_utc(sql: str) -> str:
    return f"CONVERT(varchar(27), CAST(SWITCHOFFSET({sql}, '+00:00') AS datetime2), 121)"
