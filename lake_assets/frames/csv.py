"""Frames as CSV and back: RFC 4180, read by column name and by the types that the manifest keeps.

Null is written as nothing between two commas. So is an empty text, in a column that has no null. A column that has both
is refused.
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
"""Bytes that hold a file's first record."""
_LONGEST = 1 << 30
"""Characters of a field."""
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")


@dataclass(frozen=True, slots=True)
class CsvColumn:
    """A column of a CSV file.

    Parameters
    ----------
    name, type
        Its name, and the name of its logical type.
    nulls
        Whether nothing between two commas is null; else it is an empty text.
    """

    name: str
    type: str
    nulls: bool

    @property
    def arrow_type(self) -> pyarrow.DataType:
        """The type it is stored in."""
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
    """A file to be read.

    Parameters
    ----------
    name
        File name, for errors.
    path, uri
        Where it lies, and the same for Spark.
    columns
        The columns with their types; or names alone, where no frame was stored as this file, and all of it is text.
    partition
        The columns of its partition.
    line_end
        What ends its records.
    """

    name: str
    path: str
    uri: str
    columns: tuple[CsvColumn | str, ...]
    partition: PartitionValues
    line_end: str = "\n"


def schema_of(file: CsvSource) -> pyarrow.Schema:
    """Return the columns of a file in the types that are stored, without the partition's."""
    import pyarrow as pa

    columns = (
        (column, pa.string()) if isinstance(column, str) else (column.name, column.arrow_type)
        for column in file.columns
    )
    return pa.schema([(name, kind) for name, kind in columns if name not in file.partition])


def typed_schema(columns: Iterable[CsvColumn]) -> pyarrow.Schema:
    """Return columns in the types that they are stored in."""
    import pyarrow as pa

    return pa.schema([(column.name, column.arrow_type) for column in columns])


class CsvRows(Rows):
    """The rows of CSV files: columns by name, with the partitions' columns at the end, as text.

    Parameters
    ----------
    filesystem
        What the files lie on.
    files
        One a partition; at least one.
    base
        URI of the folder above those of several partitions; None where there is only one.

    Raises
    ------
    RefusedColumn
        The files have columns that no schema holds.
    """

    def __init__(self, filesystem: FileSystem, files: Sequence[CsvSource], base: str | None) -> None:
        self.filesystem = filesystem
        self.files = files
        self.base = base
        self.data_schema = common_schema({file.uri: schema_of(file) for file in files})

    @property
    def schema(self) -> pyarrow.Schema:
        """The columns of the files, then those of the partitions."""
        import pyarrow as pa

        return pa.schema([*self.data_schema, *((name, pa.string()) for name in self.files[0].partition)])

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pyarrow.Table]:
        """Yield the rows of each file in turn, some ten thousand at a time."""
        import pyarrow as pa

        for file in self.files:
            with self.filesystem.open_input_stream(file.path) as stream:
                for table in csv_tables(stream, file):
                    typed = conform(table, self.data_schema)
                    for name, value in file.partition.items():
                        typed = typed.append_column(name, pa.repeat(pa.scalar(value, pa.string()), table.num_rows))
                    yield typed if columns is None else typed.select(list(columns))


class CsvFile(NamedTuple):
    """A file that was written: its content, SHA-256, and columns."""

    content: Content
    sha256: str
    columns: tuple[CsvColumn, ...]


def write_csv(
    rows: Rows,
    filesystem: FileSystem,
    places: Mapping[str, str],
    partitions: Mapping[str, PartitionValues] | None,
) -> dict[str, CsvFile]:
    """Write rows as one CSV file a partition.

    Parameters
    ----------
    rows
        The rows; the partitions' columns may be among theirs.
    filesystem
        What the files are to lie on.
    places
        Partition key to the file; the key ``""`` for an unpartitioned frame.
    partitions
        Partition key to its columns; None for an unpartitioned frame.

    Raises
    ------
    RefusedColumn
        CSV cannot hold a column.
    ValueError
        Rows are left over that belong to none of the partitions, or a partition column is missing.
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
                    f"column {name!r} holds null and empty text, which are one in CSV: make them one of them, or use "
                    "parquet_io_manager"
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
            # Readers skip empty lines.
            cells.append(text.fill_null('""' if len(self._schema) == 1 else ""))
        return pc.binary_join_element_wise(*cells, ",").to_pylist() if cells else []

    def _put(self, text: str) -> None:
        data = text.encode()
        self._stream.write(data)
        self._sha256.update(data)


def read_header(stream: BinaryIO, name: str) -> tuple[list[str], str]:
    """Return the columns that a file's first record names, and its line end. An empty name at its end is no column.

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
        raise ValueError(f"{name} has no header that names columns: read it as a StoredFile")
    try:
        refuse_repeated(names)
    except RefusedColumn as error:
        raise RefusedColumn(f"{name}: {error}, or read it as a StoredFile") from None
    outside = b"".join(head.split(b'"')[::2])
    found = re.search(rb"\r?\n|\r", outside)
    return names, found[0].decode() if found else "\n"


def csv_tables(stream: BinaryIO, file: CsvSource) -> Iterator[pyarrow.Table]:
    """Yield a file's rows, some ten thousand at a time, without the partition's columns.

    A field that a record lacks is empty.

    Raises
    ------
    ValueError
        A record has more fields than the header, and they are not empty; or a partition's column says something else
        than the folder.
    """
    schema = schema_of(file)
    records = _records(stream)
    next(records, None)
    while block := list(islice(records, _BLOCK)):
        yield _table(block, file, schema)


def _records(stream: BinaryIO) -> Iterator[list[str]]:
    """Yield records, without the empty lines."""
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
                raise ValueError(f"{file.name}: column {name!r} says something else than its folder, {folder!r}")
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
            f"{file}: column {column.name!r} holds what is not of type {column.type} ({cause}): write it again"
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
