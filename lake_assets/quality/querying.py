"""Frames in DuckDB: its queries read the rows that they are given, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lake_assets.frames.registry import library_of_value, supported
from lake_assets.frames.stored_types import refuse_repeated
from lake_assets.lake.rows import bounded_connection

if TYPE_CHECKING:
    import pyarrow
    from duckdb import DuckDBPyConnection

NUMBER = "quality row number"
"""The column that numbers the rows, where their order matters."""


def as_table(data: Any) -> pyarrow.Table:
    """Return a frame of any library as a table.

    Parameters
    ----------
    data
        The frame.

    Raises
    ------
    TypeError
        It is no frame.
    """
    import pyarrow as pa

    if isinstance(data, pa.Table):
        return _cast(data, _with_arrow_kernels)
    library = library_of_value(data)
    if library is None:
        raise TypeError(f"a {type(data).__name__} cannot be queried: it must be {supported()}")
    return _cast(library.rows(data).table(), _with_arrow_kernels)


def _cast(rows: Any, wanted: Callable[[pyarrow.DataType], pyarrow.DataType]) -> Any:
    """Return a table or stream whose columns have other types."""
    schema = rows.schema
    for at, field in enumerate(schema):
        schema = schema.set(at, field.with_type(wanted(field.type)))
    return rows if schema.equals(rows.schema) else rows.cast(schema)


def _with_arrow_kernels(kind: pyarrow.DataType) -> pyarrow.DataType:
    """Return the type of the same values that Arrow filters and takes."""
    import pyarrow as pa
    from pyarrow import types

    if types.is_string_view(kind):
        return pa.string()
    return pa.binary() if types.is_binary_view(kind) else kind


def _known_to_duckdb(kind: pyarrow.DataType) -> pyarrow.DataType:
    import pyarrow as pa
    from pyarrow import types

    if types.is_float16(kind):
        return pa.float32()
    if types.is_decimal(kind) and (kind.precision > 38 or kind.scale < 0):
        return pa.float64()
    return kind


@contextmanager
def opened(
    table: pyarrow.Table | pyarrow.RecordBatchReader,
    references: Mapping[str, Any] | None = None,
    *,
    numbered: bool = False,
) -> Generator[DuckDBPyConnection]:
    """Open a connection to rows, which are named ``frame``.

    Parameters
    ----------
    table
        The rows. A stream is read by the first query alone.
    references
        Further frames, by name.
    numbered
        Whether the rows of a table get the column :data:`NUMBER`.

    Raises
    ------
    ValueError
        A further frame is also named ``frame``, or names of columns differ in case only, which DuckDB takes for one.
    """
    import numpy as np
    import pyarrow as pa

    if any(name.casefold() == "frame" for name in references or {}):
        raise ValueError("rows that constraints refer to cannot be named 'frame': give them another name")
    refuse_repeated(table.schema.names)
    rows = _cast(table, _known_to_duckdb)
    if numbered and isinstance(table, pa.Table):
        rows = rows.append_column(NUMBER, pa.array(np.arange(table.num_rows)))
    with bounded_connection() as connection:
        connection.register("frame", rows)
        for name, frame in (references or {}).items():
            further = as_table(frame)
            refuse_repeated(further.column_names)
            connection.register(name, _cast(further, _known_to_duckdb))
        # Conditions in SQL read the rows, and nothing else.
        connection.execute("SET enable_external_access = false")
        yield connection


def query(connection: DuckDBPyConnection, text: str) -> pyarrow.Table:
    """Return the rows of a query.

    Parameters
    ----------
    connection
        The connection.
    text
        The query.

    Raises
    ------
    ValueError
        The query is wrong, or fails on the rows.
    """
    import duckdb

    try:
        return connection.sql(text).to_arrow_table()
    except duckdb.Error as error:
        raise ValueError(f"a constraint cannot be verified: {str(error).partition(chr(10))[0]}") from error
