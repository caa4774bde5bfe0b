"""Writes frames as CSV (RFC 4180).

A null is written as an empty field, an empty text as an empty field in quotes. Not all readers tell them apart. So a
column that has both is refused, unless the reader is known to heed quotes.
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
    *,
    quoted: bool = False,
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
    quoted
        Whether quotes tell empty texts from nulls. Then a file of one column ends each record with a comma, since
        readers skip empty lines.

    Raises
    ------
    RefusedColumn
        CSV cannot represent a column.
    ValueError
        Some rows belong to none of the partitions, or a partition column is missing.
    """
    _refuse_types(rows.schema, "the format parquet" if quoted else "parquet_io_manager")
    parts = split(rows.schema.empty_table(), partitions)
    with ExitStack() as stack:
        writers = {
            key: _Writer(stack.enter_context(filesystem.open_output_stream(place)), parts[key].schema, quoted)
            for key, place in places.items()
        }
        for table in rows.tables():
            refuse_beyond_calendar(table)
            for key, part in split(table, partitions).items():
                writers[key].write(part)
    return {key: writer.written() for key, writer in writers.items()}


class _Writer:
    """Writes one file."""

    def __init__(self, stream: Any, schema: pyarrow.Schema, quoted: bool) -> None:
        self._heeded = quoted
        self._end = ",\n" if quoted and len(schema) == 1 else "\n"
        self._stream = stream
        self._schema = schema
        self._digest = ContentDigest(schema)
        self._sha256 = hashlib.sha256()
        self._nulls: set[str] = set()
        self._empties: set[str] = set()
        self._put(",".join(_quoted(name) for name in schema.names) + self._end)

    def write(self, table: pyarrow.Table) -> None:
        for batch in table.to_batches():
            self._digest.update(batch)
            self._put("".join(f"{line}{self._end}" for line in self._lines(batch)))

    def written(self) -> CsvFile:
        for name in self._schema.names:
            if not self._heeded and name in self._nulls & self._empties:
                raise RefusedColumn(
                    f"column {name!r} holds null and empty text, which CSV cannot tell apart: use only one of them, or "
                    "use parquet_io_manager"
                )
        columns = tuple(
            CsvColumn(f.name, logical_type(f.type), self._heeded or f.name not in self._empties, self._heeded)
            for f in self._schema
        )
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
            cells.append(text.fill_null('""' if len(self._schema) == 1 and not self._heeded else ""))
        return pc.binary_join_element_wise(*cells, ",").to_pylist() if cells else []

    def _put(self, text: str) -> None:
        data = text.encode()
        self._stream.write(data)
        self._sha256.update(data)


def _refuse_types(schema: pyarrow.Schema, remedy: str) -> None:
    import pyarrow as pa

    for field in schema:
        if pa.types.is_nested(field.type) or pa.types.is_binary(field.type):
            what = "binary" if pa.types.is_binary(field.type) else "nested"
            raise RefusedColumn(f"column {field.name!r} is {what}, which CSV cannot hold: use {remedy}")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if re.search('[",\r\n]', name) or not name else name
