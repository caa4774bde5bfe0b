"""Reads CSV files (RFC 4180). Columns are matched by name and have the types that the manifest records."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from lake_assets.frames.conform import conform
from lake_assets.frames.csv_columns import CsvColumn, CsvSource, csv_schema
from lake_assets.frames.promotions import common_schema
from lake_assets.frames.rows import Rows
from lake_assets.frames.stored_types import RefusedColumn, refuse_repeated

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.fs import FileSystem


_BLOCK = 1 << 16

_HEAD = 1 << 20
"""The number of bytes in which a file's first record must end."""

_LONGEST_QUOTED = 1 << 26
"""The maximal number of bytes of a record in which quotes tell empty texts from nulls."""

_LONGEST = 1 << 30
"""The maximal number of characters of a field."""


class CsvRows(Rows):
    """The rows of CSV files. Columns are matched by name. The partition columns come last, as text.

    Parameters
    ----------
    filesystem
        File system of the files.
    files
        One file per partition; at least one.

    Raises
    ------
    RefusedColumn
        The files have no common schema.
    """

    def __init__(self, filesystem: FileSystem, files: Sequence[CsvSource]) -> None:
        self.filesystem = filesystem
        self.files = files
        self.data_schema = common_schema({file.uri: csv_schema(file) for file in files})

    @property
    def schema(self) -> pyarrow.Schema:
        """The columns of the files, then the partition columns."""
        import pyarrow as pa

        return pa.schema([*self.data_schema, *((name, pa.string()) for name in self.files[0].partition)])

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pyarrow.Table]:
        """Yield the rows of each file in turn, some ten thousand at a time.

        Parameters
        ----------
        columns
            The wanted columns, in their order; all columns by default.
        """
        for file in self.files:
            yield from self.tables_of(file, columns)

    def tables_of(self, file: CsvSource, columns: Sequence[str] | None = None) -> Iterator[pyarrow.Table]:
        """Yield the rows of one file, some ten thousand at a time.

        Parameters
        ----------
        file
            One of the files.
        columns
            The wanted columns, in their order; all columns by default.
        """
        names = self.schema.names if columns is None else list(columns)
        for table in file_tables(self.filesystem, file, self.data_schema, names):
            yield table.select(names)


def file_tables(
    filesystem: FileSystem, file: CsvSource, schema: pyarrow.Schema, columns: Sequence[str] | None = None
) -> Iterator[pyarrow.Table]:
    """Yield a file's rows, some ten thousand at a time, with the partition columns as text at the end.

    Parameters
    ----------
    filesystem
        File system of the file.
    file
        The file.
    schema
        The columns of the files, in their order. Those that the file lacks are null.
    columns
        Only these are needed. None for all.
    """
    import pyarrow as pa

    if columns is not None:
        # At least one, since a table without columns has no number of rows.
        needed = [field for field in schema if field.name in columns] or list(schema)[:1]
        schema = pa.schema(needed)
    with filesystem.open_input_stream(file.path) as stream:
        for table in csv_tables(stream, file, schema.names):
            typed = conform(table, schema)
            for name, value in file.partition.items():
                typed = typed.append_column(name, pa.repeat(pa.scalar(value, pa.string()), table.num_rows))
            yield typed


def read_header(stream: BinaryIO, name: str) -> list[str]:
    """Return the column names in a file's first record. Empty names at its end are dropped.

    Parameters
    ----------
    stream
        The file, opened for reading.
    name
        File name, for errors.

    Raises
    ------
    ValueError
        The file has no header, or two columns have the same name.
    """
    names = next(_records(io.BytesIO(stream.read(_HEAD))), [])
    while names and not names[-1]:
        names.pop()
    if not names:
        raise ValueError(f"{name} has no header with column names: read it as a StoredFile")
    try:
        refuse_repeated(names)
    except RefusedColumn as error:
        raise RefusedColumn(f"{name}: {error}, or read it as a StoredFile") from None
    return names


def csv_tables(stream: BinaryIO, file: CsvSource, wanted: Sequence[str] | None = None) -> Iterator[pyarrow.Table]:
    """Yield a file's rows, some ten thousand at a time, without the partition columns.

    Fields that a record lacks are empty.

    Parameters
    ----------
    stream
        The file, opened for reading.
    file
        Describes the file.
    wanted
        Only these columns are converted. None for all.

    Raises
    ------
    ValueError
        A record has more fields than the header, and they are not empty; or a partition column differs from the folder.
    """
    import pyarrow as pa

    whole = csv_schema(file)
    schema = pa.schema([field for field in whole if wanted is None or field.name in wanted] or list(whole)[:1])
    if file.quoted:
        yield from _quoted_tables(stream, file, schema)
        return
    records = _records(stream)
    next(records, None)
    while block := list(islice(records, _BLOCK)):
        yield _table(block, file, schema)


def _quoted_tables(stream: BinaryIO, file: CsvSource, schema: pyarrow.Schema) -> Iterator[pyarrow.Table]:
    """Yield the rows of a file in which quotes tell empty texts from nulls, as Python's reader does not."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    places = [f"field {at}" for at in range(max(2, len(file.columns)))]
    read = {place: column for place, column in zip(places, file.columns, strict=False) if _name(column) in schema.names}
    reader = arrow_csv.open_csv(
        stream,
        # The header is the first row. Its names may have line ends.
        arrow_csv.ReadOptions(block_size=_LONGEST_QUOTED, column_names=places, skip_rows_after_names=1),
        arrow_csv.ParseOptions(newlines_in_values=True),
        arrow_csv.ConvertOptions(
            include_columns=list(read),
            column_types=dict.fromkeys(places, pa.string()),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    for batch in reader:
        columns = zip(read.values(), batch.columns, strict=True)
        arrays = [
            _typed_or_refused(text, column, file.name) for column, text in columns if isinstance(column, CsvColumn)
        ]
        yield pa.Table.from_arrays(arrays, schema=schema)


def _records(stream: BinaryIO) -> Iterator[list[str]]:
    """Yield the records. Empty lines are skipped."""
    csv.field_size_limit(_LONGEST)
    text = io.TextIOWrapper(io.BufferedReader(cast(Any, stream)), "utf-8-sig", newline="")
    return (record for record in csv.reader(text) if record)


def _table(records: list[list[str]], file: CsvSource, schema: pyarrow.Schema) -> pyarrow.Table:
    import pyarrow as pa
    import pyarrow.compute

    pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them
    width = len(file.columns)
    for record in records:
        if len(record) != width:
            if any(record[width:]):
                raise ValueError(f"{file.name}: a record has more fields than the header's {width}: {record}")
            record[:] = record[:width] + [""] * (width - len(record))
    arrays: dict[str, pa.Array] = {}
    for values, column in zip(zip(*records, strict=True), file.columns, strict=True):
        name = _name(column)
        if name not in file.partition and name not in schema.names:
            continue
        text = pa.array(values, pa.string())
        if name in file.partition:
            if not pc.all(pc.equal(text, file.partition[name])).as_py():
                folder = file.partition[name]
                raise ValueError(f"{file.name}: column {name!r} has other values than its folder, {folder!r}")
        else:
            arrays[name] = text if isinstance(column, str) else _typed_or_refused(text, column, file.name)
    return pa.table(arrays, schema)


def _name(column: CsvColumn | str) -> str:
    return column if isinstance(column, str) else column.name


def _typed_or_refused(text: pyarrow.Array, column: CsvColumn, file: str) -> pyarrow.Array:
    import pyarrow as pa

    try:
        return _typed(text, column)
    except pa.ArrowInvalid as error:
        cause = str(error).partition("\n")[0]
        raise RefusedColumn(
            f"{file}: column {column.name!r} has a value that is not of type {column.type} ({cause}): write the file "
            "again"
        ) from error


def _typed(text: pyarrow.Array, column: CsvColumn) -> pyarrow.Array:
    import pyarrow as pa
    import pyarrow.compute

    pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them
    kind = column.arrow_type
    if pa.types.is_null(kind):
        return pa.nulls(len(text))
    if pa.types.is_string(kind) and (column.quoted or not column.nulls):
        return text
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text).cast(kind)
