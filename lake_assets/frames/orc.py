"""ORC files: their schemas in the stored types, and their rows.

Readers of ORC hold times in nanoseconds, so they reach from 1677-09-21 to 2262-04-11. ORC has no type for columns
without a value. Both are refused when they are written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lake_assets.frames.conform import has_null_type
from lake_assets.frames.stored_types import RefusedColumn, stored_type

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.fs import FileSystem


def orc_schema(filesystem: FileSystem, path: str) -> pyarrow.Schema:
    """Return the schema of a file in the stored types. Types that have no stored type stay as they are.

    Parameters
    ----------
    filesystem
        File system of the file.
    path
        Path of the file.
    """
    from pyarrow import orc

    with filesystem.open_input_file(path) as source:
        return _stored(orc.ORCFile(source).schema)


def orc_batches(
    filesystem: FileSystem, path: str, columns: Sequence[str] | None = None
) -> Iterator[pyarrow.RecordBatch]:
    """Yield the rows of a file, stripe by stripe. Times are in nanoseconds.

    Parameters
    ----------
    filesystem
        File system of the file.
    path
        Path of the file.
    columns
        The wanted columns, in their order; all columns by default.
    """
    from pyarrow import orc

    # PyArrow takes a dot in a column's name for a field of a struct. Then all columns are read.
    read = None if columns is None or any("." in name for name in columns) else list(columns)
    with filesystem.open_input_file(path) as source:
        file = orc.ORCFile(source)
        for stripe in range(file.nstripes):
            batch = file.read_stripe(stripe, read)
            yield batch if columns is None else batch.select(list(columns))


def refuse_beyond_orc(schema: pyarrow.Schema) -> None:
    """Refuse columns of types that ORC cannot hold.

    Parameters
    ----------
    schema
        The columns.

    Raises
    ------
    RefusedColumn
        There is such a column.
    """
    for field in schema:
        if has_null_type(field.type):
            raise RefusedColumn(
                f"column {field.name!r} has the type null, which ORC cannot hold: cast it, or use the format parquet"
            )


class OrcWriter:
    """Writes tables to an ORC file.

    Parameters
    ----------
    filesystem
        File system of the file.
    path
        Path of the file.
    schema
        The stored schema of the tables.
    """

    def __init__(self, filesystem: FileSystem, path: str, schema: pyarrow.Schema) -> None:
        import pyarrow as pa
        from pyarrow import orc

        self._schema = pa.schema([(field.name, _in_nanoseconds(field.type)) for field in schema])
        self._stream = filesystem.open_output_stream(path)
        self._writer = orc.ORCWriter(self._stream, compression="zstd")
        self._writer.write(self._schema.empty_table())

    def write_table(self, table: pyarrow.Table) -> None:
        """Add rows.

        Parameters
        ----------
        table
            The rows.

        Raises
        ------
        RefusedColumn
            A time is beyond what readers of ORC hold.
        """
        import pyarrow as pa

        columns: list[Any] = []
        for field, column in zip(self._schema, table.columns, strict=True):
            try:
                columns.append(column if column.type == field.type else column.cast(field.type))
            except pa.ArrowInvalid as error:
                raise RefusedColumn(
                    f"column {field.name!r} has a time before 1677-09-21 or after 2262-04-11, which readers of ORC do "
                    "not hold: use the format parquet"
                ) from error
        self._writer.write(pa.Table.from_arrays(columns, schema=self._schema))

    @property
    def size(self) -> int:
        """The number of bytes that were written, without the rows of the current stripe."""
        return self._stream.tell()

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()
        self._stream.close()


def _stored(schema: pyarrow.Schema) -> pyarrow.Schema:
    import pyarrow as pa

    fields: list[pa.Field] = []
    for field in schema:
        try:
            fields.append(pa.field(field.name, stored_type(field.type)))
        except TypeError:
            fields.append(pa.field(field.name, field.type))
    return pa.schema(fields)


def _in_nanoseconds(kind: pyarrow.DataType) -> pyarrow.DataType:
    """Return the type by which the times of a stored type are written and read."""
    import pyarrow as pa

    if isinstance(kind, pa.TimestampType):
        return pa.timestamp("ns", kind.tz)
    if isinstance(kind, pa.StructType):
        return pa.struct([(field.name, _in_nanoseconds(field.type)) for field in kind])
    if isinstance(kind, pa.MapType):
        return pa.map_(_in_nanoseconds(kind.key_type), _in_nanoseconds(kind.item_type))
    if isinstance(kind, pa.ListType):
        return pa.list_(_in_nanoseconds(kind.value_type))
    return kind
