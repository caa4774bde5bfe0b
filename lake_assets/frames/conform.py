"""Casts Arrow tables to the stored types."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import TYPE_CHECKING, Any

from lake_assets.frames.rows import Rows, StreamRows, TableRows
from lake_assets.frames.stored_types import RefusedColumn, stored_schema

if TYPE_CHECKING:
    import pyarrow

_FIRST_DAY = date.min.toordinal() - date(1970, 1, 1).toordinal()
_DAY_AFTER_LAST = date.max.toordinal() + 1 - date(1970, 1, 1).toordinal()


def stored_rows(table: pyarrow.Table) -> Rows:
    """Return the rows of a table in the stored types.

    Parameters
    ----------
    table
        The rows.

    Raises
    ------
    RefusedColumn
        A column has no stored type, or a value does not fit its stored type.
    """
    return TableRows(_stored(table, stored_schema(table.schema)))


def stored_stream(schema: pyarrow.Schema, tables: Iterable[pyarrow.Table]) -> Rows:
    """Return the rows of a stream of tables in the stored types. Each table is cast when it is read.

    Parameters
    ----------
    schema
        The columns of every table, before the cast.
    tables
        The rows.

    Raises
    ------
    RefusedColumn
        A column has no stored type. A value that does not fit is refused when it is read.
    """
    stored = stored_schema(schema)
    return StreamRows(stored, (_stored(table, stored) for table in tables))


def _stored(table: pyarrow.Table, schema: pyarrow.Schema) -> pyarrow.Table:
    stored = conform(table, schema)
    refuse_beyond_calendar(stored)
    return stored


def conform(table: pyarrow.Table, schema: pyarrow.Schema) -> pyarrow.Table:
    """Cast a table to a schema. Columns are matched by name, and missing columns become null.

    Parameters
    ----------
    table
        The rows.
    schema
        The wanted schema.

    Raises
    ------
    RefusedColumn
        A value cannot be represented exactly in the column's type.
    """
    import pyarrow as pa

    columns: list[pa.ChunkedArray] = []
    for field in schema:
        if field.name not in table.column_names:
            columns.append(pa.chunked_array([pa.nulls(table.num_rows, field.type)], field.type))
            continue
        column = table.column(field.name)
        try:
            columns.append(column if column.type == field.type else _cast(column, field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise RefusedColumn(f"column {field.name!r} {_cast_error(column.type, field.type, error)}") from error
    if not columns:
        return table.select([])
    return pa.Table.from_arrays(columns, schema=schema)


def refuse_beyond_calendar(table: pyarrow.Table) -> None:
    """Refuse dates and times before the year 1 or after 9999, which Python and CSV cannot represent.

    Parameters
    ----------
    table
        The rows, in the stored types.

    Raises
    ------
    RefusedColumn
        A column holds such a value, directly or inside a list, struct or map.
    """
    import pyarrow.compute

    pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them
    for name, column in zip(table.column_names, table.columns, strict=True):
        for array in (leaf for chunk in column.chunks for leaf in _leaves(chunk)):
            if _is_of_calendar(array.type):
                found = pc.min_max(_as_number(array))
                refuse_years(name, array.type, found["min"].as_py(), found["max"].as_py())


def _is_of_calendar(kind: pyarrow.DataType) -> bool:
    """Return whether a type is the stored type of dates or timestamps."""
    import pyarrow as pa

    return pa.types.is_date32(kind) or (pa.types.is_timestamp(kind) and kind.unit == "us")


def refuse_years(name: str, kind: pyarrow.DataType, least: int | None, greatest: int | None) -> None:
    """Refuse a column by its smallest and largest value, in days or microseconds since 1970.

    Parameters
    ----------
    name
        Name of the column.
    kind
        Its type: dates or timestamps.
    least
        The smallest value; None if there are only nulls.
    greatest
        The largest value; None if there are only nulls.

    Raises
    ------
    RefusedColumn
        A value is outside of the years 1 to 9999.
    """
    import pyarrow as pa

    ticks = 1 if pa.types.is_date32(kind) else 86_400_000_000
    if least is None or greatest is None:
        return
    if least < _FIRST_DAY * ticks or greatest >= _DAY_AFTER_LAST * ticks:
        raise RefusedColumn(f"column {name!r} has a time before the year 1 or after 9999: store null there, or text")


def has_null_type(kind: pyarrow.DataType) -> bool:
    """Return whether a type is null, or contains the type null.

    Parameters
    ----------
    kind
        An Arrow type.
    """
    import pyarrow as pa

    return pa.types.is_null(kind) or any(has_null_type(kind.field(at).type) for at in range(kind.num_fields))


def _leaves(array: pyarrow.Array) -> Iterator[pyarrow.Array]:
    """Yield the arrays of plain values inside an array. Values under a null are left out."""
    import pyarrow as pa

    if isinstance(array, pa.StructArray):
        for part in array.flatten():
            yield from _leaves(part)
    elif isinstance(array, pa.MapArray):
        for part in (array.keys, array.items):
            yield from _leaves(part)
    elif isinstance(array, pa.ListArray):
        yield from _leaves(array.flatten())
    else:
        yield array


def _as_number(array: pyarrow.Array) -> pyarrow.Array:
    import pyarrow as pa

    return array.view(pa.int32() if pa.types.is_date32(array.type) else pa.int64())


def _cast(column: pyarrow.ChunkedArray, kind: pyarrow.DataType) -> pyarrow.ChunkedArray:
    import pyarrow as pa

    if pa.types.is_run_end_encoded(column.type):
        column = pa.chunked_array([_decoded(chunk) for chunk in column.chunks], column.type.value_type)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    elif isinstance(column.type, pa.TimestampType) and isinstance(kind, pa.TimestampType):
        # Change the unit first. The second cast adds or drops the time zone.
        column = column.cast(pa.timestamp(kind.unit, column.type.tz))
    return column.cast(kind)


def _decoded(array: pyarrow.Array) -> pyarrow.Array:
    import pyarrow.compute

    return pyarrow.compute.call_function("run_end_decode", [array])


def _cast_error(kind: pyarrow.DataType, wanted: pyarrow.DataType, error: Exception) -> str:
    import pyarrow as pa

    if pa.types.is_timestamp(kind):
        return 'has values below the microsecond, or out of its range: round them, such as by `.dt.floor("us")`'
    if pa.types.is_uint64(kind):
        return "holds an unsigned number beyond the range of int64: store it as decimal(20, 0) or text"
    return f"does not fit {wanted}: {str(error).partition(chr(10))[0]}"
