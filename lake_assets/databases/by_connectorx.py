"""What is read by connectorx. It loses precision on some types, so those are read as text and parsed here."""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.compute

from lake_assets.databases.contract import Column, Database, DatabaseError, Value

if TYPE_CHECKING:
    import pyarrow

pc: Any = pyarrow.compute
_ROWS = 1 << 16
_MICROSECONDS = 26
"""Length of a time as text, to its microseconds."""


class ByConnectorX(Database, ABC):
    """Connections of connectorx: one for each query, so a read in several parts has a state for each.

    A column's expression gives bytes as hexadecimal text, a truth value as 0 or 1, and a time as text, such as
    ``2026-11-27 12:00:00.5``.

    Parameters
    ----------
    url
        Address with credentials. It is in no error.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        try:
            import connectorx
        except ImportError:
            raise DatabaseError(
                f"{self.address}: this database needs the package connectorx: pip install 'lake_assets[databases]'"
            ) from None
        self._connectorx = connectorx

    def batches(self, sql: str, columns: Sequence[Column]) -> Iterator[pyarrow.RecordBatch]:
        """Yield the rows; see :meth:`Database.batches`."""
        schema = pa.schema([(column.name, column.type) for column in columns])
        for batch in self.table_of(sql, "arrow_stream"):
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
                return _times(values).cast(kind)
            return values.cast(kind)
        except (ValueError, pa.ArrowException) as error:
            raise DatabaseError(
                f"{self.address}: column {column.name!r} of type {column.declared} holds a value that {kind} does not "
                f"({' '.join(str(error).split())[:80]}): cast it in a query"
            ) from None

    def values(self, sql: str) -> Sequence[str | None]:
        """Return the values of one row; see :meth:`Database.values`."""
        return [column[0].as_py() for column in self.table_of(sql).columns]

    def since(self, column: Column, value: Value, *, beyond: bool = False) -> str:
        """Return the condition that a cursor is at least a value; see :meth:`Database.since`.

        A value has no more than microseconds, and a column of Oracle or SQL Server may have parts of one. So a time is
        beyond another from the next microsecond on, if there is one.
        """
        if beyond and isinstance(value, datetime) and value.replace(tzinfo=None) < datetime.max:
            return super().since(column, value + timedelta(microseconds=1))
        return super().since(column, value, beyond=beyond)

    def close(self) -> None:
        """Do nothing: each query had a connection of its own."""

    def table_of(self, sql: str, kind: Literal["arrow", "arrow_stream"] = "arrow") -> Any:
        """Return the rows of a query with the types of connectorx.

        Parameters
        ----------
        sql
            The query.
        kind
            ``arrow`` for a table, ``arrow_stream`` for batches.

        Raises
        ------
        DatabaseError
            The database does not answer, or refuses the query.
        """
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


def as_text(value: Any) -> str:
    """Return a value of a table of the database's own as text: some are bytes.

    Parameters
    ----------
    value
        The value.
    """
    return value.decode() if isinstance(value, bytes) else str(value)


def _times(values: pyarrow.Array) -> pyarrow.Array:
    if pc.any(pc.match_substring_regex(pc.utf8_slice_codeunits(values, _MICROSECONDS), "[1-9]")).as_py():
        raise ValueError("parts of a microsecond")
    moments = pc.strptime(pc.utf8_slice_codeunits(values, 0, 19), "%Y-%m-%d %H:%M:%S", "us")
    fraction = pc.utf8_rpad(pc.utf8_slice_codeunits(values, 20, _MICROSECONDS), 6, "0")
    micros = pc.cast(pc.cast(fraction, pa.int64()), pa.duration("us"))
    return pc.cast(pc.add(moments, micros), pa.timestamp("us"))
