"""Arrow tables, cast to the types that are stored."""

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
    """Return the rows of a table in the types that are stored.

    Raises
    ------
    RefusedColumn
        A column has no type that is stored, or a value that the type does not hold.
    """
    return TableRows(_stored(table, stored_schema(table.schema)))


def stored_stream(schema: pyarrow.Schema, tables: Iterable[pyarrow.Table]) -> Rows:
    """Return the rows of a stream of tables as :func:`stored_rows` does; each table is cast when it is read.

    Parameters
    ----------
    schema
        The columns of every table, before the cast.
    tables
        The rows.

    Raises
    ------
    RefusedColumn
        A column has no type that is stored. One whose value does not fit is refused when it is read.
    """
    stored = stored_schema(schema)
    return StreamRows(stored, (_stored(table, stored) for table in tables))


def _stored(table: pyarrow.Table, schema: pyarrow.Schema) -> pyarrow.Table:
    stored = conform(table, schema)
    refuse_beyond_calendar(stored)
    return stored


def conform(table: pyarrow.Table, schema: pyarrow.Schema) -> pyarrow.Table:
    """Return rows in a schema: columns by name, missing ones null.

    Raises
    ------
    RefusedColumn
        A value has no equal in the column's type.
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
            raise RefusedColumn(f"column {field.name!r} {_misfit(column.type, field.type, error)}") from error
    if not columns:
        return table.select([])
    return pa.Table.from_arrays(columns, schema=schema)


def refuse_beyond_calendar(table: pyarrow.Table) -> None:
    """Refuse dates and times before the year 1 or after 9999: Python and CSV cannot express them.

    Raises
    ------
    RefusedColumn
        A column holds such a value, at the top or inside a list, struct or map.
    """
    import pyarrow.compute

    pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them
    for name, column in zip(table.column_names, table.columns, strict=True):
        for array in (leaf for chunk in column.chunks for leaf in _leaves(chunk)):
            if _is_of_calendar(array.type):
                found = pc.min_max(_as_number(array))
                refuse_years(name, array.type, found["min"].as_py(), found["max"].as_py())


def _is_of_calendar(kind: pyarrow.DataType) -> bool:
    """Return whether a type is of dates, or of timestamps as they are stored."""
    import pyarrow as pa

    return pa.types.is_date32(kind) or (pa.types.is_timestamp(kind) and kind.unit == "us")


def refuse_years(name: str, kind: pyarrow.DataType, least: int | None, greatest: int | None) -> None:
    """Refuse a column by its least and greatest value, in days or microseconds since 1970.

    Raises
    ------
    RefusedColumn
        One is outside of the years 1 to 9999.
    """
    import pyarrow as pa

    ticks = 1 if pa.types.is_date32(kind) else 86_400_000_000
    if least is None or greatest is None:
        return
    if least < _FIRST_DAY * ticks or greatest >= _DAY_AFTER_LAST * ticks:
        raise RefusedColumn(f"column {name!r} has a time before the year 1 or after 9999: store null there, or text")


def with_nulls(array: pyarrow.Array, kind: pyarrow.DataType) -> pyarrow.Array:
    """Return an array as ``kind``, where some parts have the type null that another type stands in for."""
    import pyarrow as pa

    if pa.types.is_null(kind):
        return pa.nulls(len(array))
    if not pa.types.is_nested(kind) or array.type == kind:
        return array
    if isinstance(kind, pa.StructType):
        parts = [with_nulls(array.field(index), kind.field(index).type) for index in range(kind.num_fields)]
        return pa.StructArray.from_arrays(parts, fields=list(kind), mask=array.is_null())
    if isinstance(kind, pa.MapType):
        items = with_nulls(array.items, kind.item_type)
        return pa.MapArray.from_arrays(array.offsets, array.keys, items, kind, mask=array.is_null())
    values = with_nulls(array.values, kind.value_type)
    return pa.ListArray.from_arrays(array.offsets, values, kind, mask=array.is_null())


def has_null_type(kind: pyarrow.DataType) -> bool:
    """Return whether a type is null, or has null inside."""
    import pyarrow as pa

    return pa.types.is_null(kind) or any(has_null_type(kind.field(at).type) for at in range(kind.num_fields))


def _leaves(array: pyarrow.Array) -> Iterator[pyarrow.Array]:
    """Yield the arrays of plain values that an array is made of, without what lies under a null."""
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
        # First the unit: a zone is put on as it is read, in UTC.
        column = column.cast(pa.timestamp(kind.unit, column.type.tz))
    return column.cast(kind)


def _decoded(array: pyarrow.Array) -> pyarrow.Array:
    import pyarrow.compute

    return pyarrow.compute.call_function("run_end_decode", [array])


def _misfit(kind: pyarrow.DataType, wanted: pyarrow.DataType, error: Exception) -> str:
    import pyarrow as pa

    if pa.types.is_timestamp(kind):
        return 'has values below the microsecond, or out of its range: round them, such as by `.dt.floor("us")`'
    if pa.types.is_uint64(kind):
        return "holds an unsigned number beyond the range of int64: store it as decimal(20, 0) or text"
    return f"does not fit {wanted}: {str(error).partition(chr(10))[0]}"
