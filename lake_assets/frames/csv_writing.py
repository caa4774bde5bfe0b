"""Writes frames as CSV (RFC 4180).

A null is written as an empty field, an empty text as an empty field in quotes. Not all readers tell them apart. So a
column that has both is refused, unless the reader is known to heed quotes: that of the format ``csv`` is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

from lake_assets.content.logical_types import logical_type
from lake_assets.content.version import Content, ContentDigest
from lake_assets.frames.conform import refuse_beyond_calendar
from lake_assets.frames.csv_columns import CsvColumn
from lake_assets.frames.partition_columns import split
from lake_assets.frames.rows import Rows
from lake_assets.frames.stored_types import RefusedColumn

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.fs import FileSystem

    from lake_assets.frames.hive_folders import PartitionValues

_ROWS = 1 << 16
"""The number of rows that are text in memory at once."""


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
    """Write rows as one CSV file per partition, which readers understand that heed no quotes.

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
    refuse_beyond_csv(rows.schema, "parquet_io_manager")
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


def refuse_beyond_csv(schema: pyarrow.Schema, remedy: str = "the format parquet") -> None:
    """Refuse columns of types that CSV cannot hold.

    Parameters
    ----------
    schema
        The columns.
    remedy
        What to use instead.

    Raises
    ------
    RefusedColumn
        There is such a column.
    """
    import pyarrow as pa

    for field in schema:
        if pa.types.is_nested(field.type) or pa.types.is_binary(field.type):
            what = "binary" if pa.types.is_binary(field.type) else "nested"
            raise RefusedColumn(f"column {field.name!r} is {what}, which CSV cannot hold: use {remedy}")


def csv_columns(schema: pyarrow.Schema) -> tuple[CsvColumn, ...]:
    """Return the columns of a file that :class:`CsvWriter` writes.

    Parameters
    ----------
    schema
        The stored schema of its rows.
    """
    return tuple(CsvColumn(field.name, logical_type(field.type), nulls=True, quoted=True) for field in schema)


class CsvWriter:
    """Writes tables to a file of the format ``csv``, in which quotes tell empty texts from nulls.

    A file of one column ends each record with a comma, since readers skip empty lines.

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
        self._end = ",\n" if len(schema) == 1 else "\n"
        self._stream = filesystem.open_output_stream(path)
        self._stream.write(_header(schema, self._end))

    def write_table(self, table: pyarrow.Table) -> None:
        """Add rows.

        Parameters
        ----------
        table
            The rows.
        """
        for batch in table.to_batches(max_chunksize=_ROWS):
            self._stream.write(_records(batch, "", self._end))

    @property
    def size(self) -> int:
        """The number of bytes that were written."""
        return self._stream.tell()

    def close(self) -> None:
        """Finish the file."""
        self._stream.close()


class _Writer:
    """Writes one file that is read without heeding quotes."""

    def __init__(self, stream: Any, schema: pyarrow.Schema) -> None:
        self._stream = stream
        self._schema = schema
        self._digest = ContentDigest(schema)
        self._sha256 = hashlib.sha256()
        self._nulls: set[str] = set()
        self._empties: set[str] = set()
        self._put(_header(schema, "\n"))

    def write(self, table: pyarrow.Table) -> None:
        for batch in table.to_batches(max_chunksize=_ROWS):
            self._note(batch)
            self._digest.update(batch)
            # In a file of one column, an empty field would make an empty line, which readers skip.
            self._put(_records(batch, '""' if len(self._schema) == 1 else "", "\n"))

    def written(self) -> CsvFile:
        for name in self._schema.names:
            if name in self._nulls & self._empties:
                raise RefusedColumn(
                    f"column {name!r} holds null and empty text, which CSV cannot tell apart: use only one of them, or "
                    "use parquet_io_manager"
                )
        columns = tuple(CsvColumn(f.name, logical_type(f.type), f.name not in self._empties) for f in self._schema)
        return CsvFile(Content(self._digest.rows, self._digest.version()), self._sha256.hexdigest(), columns)

    def _note(self, batch: pyarrow.RecordBatch) -> None:
        import pyarrow as pa
        import pyarrow.compute

        pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them
        for field, column in zip(self._schema, batch.columns, strict=True):
            if pa.types.is_string(field.type):
                if column.null_count:
                    self._nulls.add(field.name)
                if pc.any(pc.equal(column, "")).as_py():
                    self._empties.add(field.name)

    def _put(self, data: bytes) -> None:
        self._stream.write(data)
        self._sha256.update(data)


def _records(batch: pyarrow.RecordBatch, null: str, end: str) -> bytes:
    import pyarrow as pa
    import pyarrow.compute

    pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them
    cells: list[pa.Array] = []
    for column in batch.columns:
        text = column.cast(pa.string())
        if pa.types.is_string(column.type):
            special = pc.match_substring_regex(text, '[",\r\n]|^$')
            quotes = pa.scalar('"')
            escaped = pc.replace_substring(text, '"', '""')
            text = pc.if_else(special, pc.binary_join_element_wise(quotes, escaped, quotes, ""), text)
        cells.append(text.fill_null(null))
    lines: list[str] = pc.binary_join_element_wise(*cells, ",").to_pylist() if cells else []
    return "".join(f"{line}{end}" for line in lines).encode()


def _header(schema: pyarrow.Schema, end: str) -> bytes:
    return (",".join(_quoted(name) for name in schema.names) + end).encode()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if re.search('[",\r\n]', name) or not name else name
