"""Oracle, by connectorx. It was never tried on a real server."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, timezone
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lake_assets.databases.by_connectorx import ByConnectorX, as_text
from lake_assets.databases.contract import Column, DatabaseError, Selection, Value

if TYPE_CHECKING:
    import pyarrow

_MOMENT = "'YYYY-MM-DD HH24:MI:SS'"
_FRACTION = "'YYYY-MM-DD HH24:MI:SS.FF9'"
_TIMESTAMP = re.compile(r"timestamp(\(\d\))?( with time zone| with local time zone)?")
_TEXTS = ("char", "varchar2", "nchar", "nvarchar2", "clob", "nclob")


class Oracle(ByConnectorX):
    """Oracle. Names are as it stores them, which is in capitals where they were not quoted.

    Parameters
    ----------
    url
        ``oracle://USER:PASSWORD@HOST:PORT/SERVICE``.
    """

    def columns(self, selection: Selection) -> Sequence[Column]:
        """Return the columns with their declared types; see :meth:`Database.columns`."""
        if not selection.table:
            # A query's declared types are those of a view, which would have to be made: the types of its values serve.
            empty = self.table_of(f"SELECT * FROM {self.rows_of(selection)} WHERE 1 = 0")
            return [self._column_of(field) for field in empty.schema]
        *schema, table = selection.table.split(".")
        owner = self.text(schema[0]) if schema else "SYS_CONTEXT('USERENV', 'CURRENT_SCHEMA')"
        found = self.table_of(
            "SELECT COLUMN_NAME AS name, DATA_TYPE AS declared, TO_CHAR(DATA_PRECISION) AS digits, "
            f"TO_CHAR(DATA_SCALE) AS scale FROM ALL_TAB_COLUMNS WHERE OWNER = {owner} "
            f"AND TABLE_NAME = {self.text(table)} ORDER BY COLUMN_ID"
        )
        rows = [
            dict(zip(("name", "declared", "digits", "scale"), row.values(), strict=True)) for row in found.to_pylist()
        ]
        if not rows:
            raise DatabaseError(
                f"{self.address}: there is no table {selection.table}: give its name as ALL_TAB_COLUMNS has it, which "
                "is in capitals where it was not quoted"
            )
        return [
            self._column(as_text(row["name"]), as_text(row["declared"]), row["digits"], row["scale"]) for row in rows
        ]

    def _column(self, name: str, declared: str, digits: Any = None, scale: Any = None) -> Column:
        sql, base = self.name(name), declared.lower()
        if base == "number":
            return _number(name, sql, digits, scale)
        if base in ("binary_float", "binary_double"):
            return Column(name, declared, pa.float64(), f"CAST({sql} AS BINARY_DOUBLE)")
        if base == "float":
            return Column(name, declared, pa.string(), _digits(sql))
        if base == "date":
            # It has a time of day, too.
            return Column(name, declared, pa.timestamp("us"), f"TO_CHAR({sql}, {_MOMENT})")
        if kind := _TIMESTAMP.fullmatch(base):
            zone = "UTC" if kind[2] else None
            moment = f"SYS_EXTRACT_UTC({sql})" if zone else sql
            return Column(name, declared, pa.timestamp("us", zone), f"TO_CHAR({moment}, {_FRACTION})")
        if base == "raw":
            return Column(name, declared, pa.binary(), f"RAWTOHEX({sql})")
        if base.startswith("interval") or base in ("rowid", "urowid"):
            return Column(name, declared, pa.string(), f"TO_CHAR({sql})")
        if base in _TEXTS:
            return Column(name, declared, pa.string(), sql)
        raise DatabaseError(f"{self.address}: column {name!r} is of type {declared}: cast it in a query")

    def _column_of(self, field: pyarrow.Field) -> Column:
        """Return a column of a query by the type that connectorx gives its values."""
        kind, types = field.type, pa.types
        if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
            # It does not know the declared precision: text holds all.
            return Column(field.name, "NUMBER", pa.string(), _digits(self.name(field.name)))
        if types.is_date(kind) or types.is_timestamp(kind):
            # A zone, if there is one, is not told.
            return self._column(field.name, "TIMESTAMP(6)")
        if types.is_binary(kind) or types.is_large_binary(kind):
            return self._column(field.name, "RAW")
        return self._column(field.name, "VARCHAR2")

    def highest(self, column: Column) -> str:
        """Return the highest value of a cursor as text, cut off behind the microseconds."""
        name = f"max({self.name(column.name)})"
        if isinstance(column.type, pa.TimestampType):
            moment = f"SYS_EXTRACT_UTC({name})" if column.type.tz else f"CAST({name} AS TIMESTAMP)"
            return f"SUBSTR(TO_CHAR({moment}, {_FRACTION}), 1, 26)"
        return self.as_text(name)

    def exists(self, rows: str, condition: str) -> str:
        """Return a query of 1 if there is such a row; see :meth:`Database.exists`."""
        return f"SELECT {self.as_text('count(*)')} FROM {rows} WHERE ({condition}) AND ROWNUM = 1"

    def as_text(self, expression: str) -> str:
        """Return an expression as text."""
        return f"TO_CHAR({expression})"

    def literal(self, value: Value) -> str:
        """Return a value, written in SQL so that no setting of the session changes it."""
        if isinstance(value, datetime):
            plain = value.astimezone(timezone.utc).replace(tzinfo=None) if value.tzinfo else value
            return f"TIMESTAMP '{plain.isoformat(sep=' ')}{' +00:00' if value.tzinfo else ''}'"
        if isinstance(value, date):
            return f"DATE '{value.isoformat()}'"
        return super().literal(value)


def _number(name: str, sql: str, digits: Any, scale: Any) -> Column:
    """Return a column of type NUMBER. Without digits it has up to 38; without a scale, too, it is a floating number."""
    if scale is None:
        return Column(name, "NUMBER", pa.string(), _digits(sql))
    precision, places = int(digits) if digits is not None else 38, int(scale)
    declared = f"NUMBER({precision},{places})"
    if places <= 0 and precision - places <= 18:
        return Column(name, declared, pa.int64(), _digits(sql))
    whole, shown = max(precision, precision - places, places), max(places, 0)
    kind = pa.decimal128(whole, shown) if whole <= 38 else pa.string()
    return Column(name, declared, kind, _digits(sql))


def _digits(sql: str) -> str:
    """Return the expression of a number's digits: with a dot, whatever the session's language is."""
    return f"TO_CHAR({sql}, 'TM9', 'NLS_NUMERIC_CHARACTERS=''.,''')"
