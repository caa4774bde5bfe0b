"""Writes and reads frames as CSV (RFC 4180). Columns are matched by name and have the types that the manifest records.

A null is written as an empty field. In a column without nulls, so is an empty text. A column that has both is refused.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from lake_assets.content.logical_types import logical_type
from lake_assets.content.version import Content, ContentDigest
from lake_assets.frames.conform import conform, refuse_beyond_calendar
from lake_assets.frames.partition_columns import split
from lake_assets.frames.promotions import common_schema
from lake_assets.frames.rows import Rows
from lake_assets.frames.stored_types import RefusedColumn, refuse_repeated

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.fs import FileSystem

    from lake_assets.frames.hive_folders import PartitionValues

_BLOCK = 1 << 16
_HEAD = 1 << 20
"""The number of bytes in which a file's first record must end."""
_LONGEST = 1 << 30
"""The maximal number of characters of a field."""
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")


@dataclass(frozen=True, slots=True)
class CsvColumn:
    """A column of a CSV file.

    Parameters
    ----------
    name
        Name of the column.
    type
        Name of its logical type.
    nulls
        Whether an empty field is null. Otherwise, it is an empty text.
    """

    name: str
    type: str
    nulls: bool

    @property
    def arrow_type(self) -> pyarrow.DataType:
        """The stored type of the column."""
        import pyarrow as pa

        found = _DECIMAL.fullmatch(self.type)
        if found:
            return pa.decimal128(int(found[1]), int(found[2]))
        simple = {
            "null": pa.null(),
            "boolean": pa.bool_(),
            "float32": pa.float32(),
            "float64": pa.float64(),
            "text": pa.string(),
            "date": pa.date32(),
            "timestamp": pa.timestamp("us"),
            "instant": pa.timestamp("us", "UTC"),
            **{f"int{bits}": getattr(pa, f"int{bits}")() for bits in (8, 16, 32, 64)},
        }
        return simple[self.type]


@dataclass(frozen=True, slots=True)
class CsvSource:
    """A CSV file to be read.

    Parameters
    ----------
    name
        File name, for errors.
    path
        Path of the file.
    uri
        URI of the file, for Spark.
    columns
        The columns with their types; or names only for a raw file, whose columns are all text.
    partition
        The partition columns, with their values.
    line_end
        The line end of its records.
    """

    name: str
    path: str
    uri: str
    columns: tuple[CsvColumn | str, ...]
    partition: PartitionValues
    line_end: str = "\n"


def csv_schema(file: CsvSource) -> pyarrow.Schema:
    """Return the schema of a file in the stored types, without the partition columns.

    Parameters
    ----------
    file
        The file.
    """
    import pyarrow as pa

    columns = (
        (column, pa.string()) if isinstance(column, str) else (column.name, column.arrow_type)
        for column in file.columns
    )
    return pa.schema([(name, kind) for name, kind in columns if name not in file.partition])


def typed_schema(columns: Iterable[CsvColumn]) -> pyarrow.Schema:
    """Return the schema of columns in the stored types.

    Parameters
    ----------
    columns
        The columns.
    """
    import pyarrow as pa

    return pa.schema([(column.name, column.arrow_type) for column in columns])


class CsvRows(Rows):
    """The rows of CSV files. Columns are matched by name. The partition columns come last, as text.

    Parameters
    ----------
    filesystem
        File system of the files.
    files
        One file per partition; at least one.
    base
        URI of the folder that contains several partitions; None for a single file.

    Raises
    ------
    RefusedColumn
        The files have no common schema.
    """

    def __init__(self, filesystem: FileSystem, files: Sequence[CsvSource], base: str | None) -> None:
        self.filesystem = filesystem
        self.files = files
        self.base = base
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
        import pyarrow as pa

        for file in self.files:
            with self.filesystem.open_input_stream(file.path) as stream:
                for table in csv_tables(stream, file):
                    typed = conform(table, self.data_schema)
                    for name, value in file.partition.items():
                        typed = typed.append_column(name, pa.repeat(pa.scalar(value, pa.string()), table.num_rows))
                    yield typed if columns is None else typed.select(list(columns))


class CsvFile(NamedTuple):
    """A CSV file that was written.

    Parameters
    ----------
    content
        Number of rows and version of the content.
    sha256
        SHA-256 of the file, in hexadecimal.
    columns
        The columns.
    """

    content: Content
    sha256: str
    columns: tuple[CsvColumn, ...]


def write_csv(
    rows: Rows,
    filesystem: FileSystem,
    places: Mapping[str, str],
    partitions: Mapping[str, PartitionValues] | None,
) -> dict[str, CsvFile]:
    """Write rows as one CSV file per partition.

    Parameters
    ----------
    rows
        The rows. They may have the partition columns.
    filesystem
        File system of the files.
    places
        Partition key to path of the file. The key is ``""`` for an unpartitioned frame.
    partitions
        Partition key to its partition columns; None for an unpartitioned frame.

    Raises
    ------
    RefusedColumn
        CSV cannot represent a column.
    ValueError
        Some rows belong to none of the partitions, or a partition column is missing.
    """
    _refuse_types(rows.schema)
    parts = split(rows.schema.empty_table(), partitions)
    with ExitStack() as stack:
        writers = {
            key: _Writer(stack.enter_context(filesystem.open_output_stream(place)), parts[key].schema)
            for key, place in places.items()
        }
        for table in rows.tables():
            refuse_beyond_calendar(table)
            for key, part in split(table, partitions).items():
                writers[key].write(part)
    return {key: writer.written() for key, writer in writers.items()}


class _Writer:
    """Writes one file."""

    def __init__(self, stream: Any, schema: pyarrow.Schema) -> None:
        self._stream = stream
        self._schema = schema
        self._digest = ContentDigest(schema)
        self._sha256 = hashlib.sha256()
        self._nulls: set[str] = set()
        self._empties: set[str] = set()
        self._put(",".join(_quoted(name) for name in schema.names) + "\n")

    def write(self, table: pyarrow.Table) -> None:
        for batch in table.to_batches():
            self._digest.update(batch)
            self._put("".join(f"{line}\n" for line in self._lines(batch)))

    def written(self) -> CsvFile:
        for name in self._schema.names:
            if name in self._nulls & self._empties:
                raise RefusedColumn(
                    f"column {name!r} holds null and empty text, which CSV cannot tell apart: use only one of them, or "
                    "use parquet_io_manager"
                )
        columns = tuple(CsvColumn(f.name, logical_type(f.type), f.name not in self._empties) for f in self._schema)
        return CsvFile(Content(self._digest.rows, self._digest.version()), self._sha256.hexdigest(), columns)

    def _lines(self, batch: pyarrow.RecordBatch) -> list[str]:
        import pyarrow as pa
        import pyarrow.compute

        pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them
        cells: list[pa.Array] = []
        for field, column in zip(self._schema, batch.columns, strict=True):
            text = column.cast(pa.string())
            if pa.types.is_string(field.type):
                if column.null_count:
                    self._nulls.add(field.name)
                if pc.any(pc.equal(column, "")).as_py():
                    self._empties.add(field.name)
                special = pc.match_substring_regex(text, '[",\r\n]|^$')
                quotes = pa.scalar('"')
                escaped = pc.replace_substring(text, '"', '""')
                text = pc.if_else(special, pc.binary_join_element_wise(quotes, escaped, quotes, ""), text)
            # In a file of one column, an empty field would make an empty line, which readers skip.
            cells.append(text.fill_null('""' if len(self._schema) == 1 else ""))
        return pc.binary_join_element_wise(*cells, ",").to_pylist() if cells else []

    def _put(self, text: str) -> None:
        data = text.encode()
        self._stream.write(data)
        self._sha256.update(data)


def read_header(stream: BinaryIO, name: str) -> tuple[list[str], str]:
    """Return the column names in a file's first record, and the line end. Empty names at its end are dropped.

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
    head = stream.read(_HEAD)
    names = next(_records(io.BytesIO(head)), [])
    while names and not names[-1]:
        names.pop()
    if not names:
        raise ValueError(f"{name} has no header with column names: read it as a StoredFile")
    try:
        refuse_repeated(names)
    except RefusedColumn as error:
        raise RefusedColumn(f"{name}: {error}, or read it as a StoredFile") from None
    outside = b"".join(head.split(b'"')[::2])
    found = re.search(rb"\r?\n|\r", outside)
    return names, found[0].decode() if found else "\n"


def csv_tables(stream: BinaryIO, file: CsvSource) -> Iterator[pyarrow.Table]:
    """Yield a file's rows, some ten thousand at a time, without the partition columns.

    Fields that a record lacks are empty.

    Parameters
    ----------
    stream
        The file, opened for reading.
    file
        Describes the file.

    Raises
    ------
    ValueError
        A record has more fields than the header, and they are not empty; or a partition column differs from the folder.
    """
    schema = csv_schema(file)
    records = _records(stream)
    next(records, None)
    while block := list(islice(records, _BLOCK)):
        yield _table(block, file, schema)


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
        text, name = pa.array(values, pa.string()), column if isinstance(column, str) else column.name
        if name in file.partition:
            if not pc.all(pc.equal(text, file.partition[name])).as_py():
                folder = file.partition[name]
                raise ValueError(f"{file.name}: column {name!r} has other values than its folder, {folder!r}")
        else:
            arrays[name] = text if isinstance(column, str) else _typed_or_refused(text, column, file.name)
    return pa.table(arrays, schema)


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
    if pa.types.is_string(kind) and not column.nulls:
        return text
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text).cast(kind)


def _refuse_types(schema: pyarrow.Schema) -> None:
    import pyarrow as pa

    for field in schema:
        if pa.types.is_nested(field.type) or pa.types.is_binary(field.type):
            what = "binary" if pa.types.is_binary(field.type) else "nested"
            raise RefusedColumn(f"column {field.name!r} is {what}, which CSV cannot hold: use parquet_io_manager")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if re.search('[",\r\n]', name) or not name else name
