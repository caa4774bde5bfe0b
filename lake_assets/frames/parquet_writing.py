"""Writes rows as the Parquet or ORC files of an asset, and finishes the files that Spark wrote."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lake_assets.content.version import Content, ContentDigest, version_of_files
from lake_assets.frames.conform import (
    conform,
    has_null_type,
    refuse_years,
    with_nulls,
)
from lake_assets.frames.file_formats import ORC, PARQUET
from lake_assets.frames.hive_folders import PartitionValues, folder
from lake_assets.frames.orc import OrcWriter
from lake_assets.frames.parquet_files import parquet_files
from lake_assets.frames.partition_columns import split
from lake_assets.frames.rows import Rows, joined

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet as pq
    from pyarrow.fs import FileSystem


_ROWS = 1 << 16
_ORC_BYTES = 256 << 20
"""The size of an ORC file beyond which there is another one, since a worker of Spark reads a file as a whole."""
_MOST_OPEN = 64
"""The maximal number of files that a write has open at once, however many partitions there are."""


@dataclass(frozen=True, slots=True)
class ParquetTarget:
    """The folder where a frame is written.

    Parameters
    ----------
    filesystem
        File system of the folder.
    root
        Path of the folder. It exists and is empty.
    uri
        URI of the folder, for Spark.
    partitions
        Partition key to its partition columns; None for an unpartitioned frame.
    format
        ``parquet`` or ``orc``.
    """

    filesystem: FileSystem
    root: str
    uri: str
    partitions: Mapping[str, PartitionValues] | None
    format: str = PARQUET

    @property
    def folders(self) -> dict[str, str]:
        """Partition key to its folder below the root; ``{"": ""}`` for an unpartitioned frame."""
        if self.partitions is None:
            return {"": ""}
        return {key: folder(values) for key, values in self.partitions.items()}


def write_rows(rows: Rows, target: ParquetTarget) -> tuple[pyarrow.Schema, dict[str, Content]]:
    """Write rows, with one file per partition, or several if the rows of many partitions are mixed.

    Parameters
    ----------
    rows
        The rows. For several partitions, they must have the partition columns.
    target
        Where the files go.

    Returns
    -------
    tuple
        The schema of the files, and for each partition key what was written. The key is ``""`` for an unpartitioned
        frame.

    Raises
    ------
    RefusedColumn
        The format cannot hold a column.
    ValueError
        Some rows belong to none of the partitions, or a partition column is missing.
    """
    parts = split(rows.schema.empty_table(), target.partitions)
    schema = next(iter(parts.values())).schema
    with ExitStack() as stack:
        writers = {
            key: stack.enter_context(_PartitionWriter(target, place, schema)) for key, place in target.folders.items()
        }
        opened: OrderedDict[str, None] = OrderedDict()
        for table in joined(rows.tables()):
            for key, part in split(table, target.partitions).items():
                if not part.num_rows:
                    continue
                opened[key] = None
                opened.move_to_end(key)
                if len(opened) > _MOST_OPEN:
                    writers[opened.popitem(last=False)[0]].close_file()
                writers[key].write(part)
    return schema, {key: writer.content for key, writer in writers.items()}


class _PartitionWriter:
    """Writes the rows of one partition. After the file was closed, further rows go to another file."""

    def __init__(self, target: ParquetTarget, place: str, schema: pyarrow.Schema) -> None:
        self._filesystem = target.filesystem
        self._root = f"{target.root}/{place}".rstrip("/")
        self._format = target.format
        self._schema = schema
        self._digest = ContentDigest(schema)
        self._files = 0
        self._file: pq.ParquetWriter | OrcWriter | None = None

    def __enter__(self) -> _PartitionWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and not self._files:
            self._open()
        self.close_file()

    @property
    def content(self) -> Content:
        """Number and version of the rows that were written."""
        return Content(self._digest.rows, self._digest.version())

    def write(self, table: pyarrow.Table) -> None:
        """Add rows."""
        if self._file is None:
            self._file = self._open()
        self._file.write_table(table)
        for batch in table.to_batches():
            self._digest.update(batch)
        if isinstance(self._file, OrcWriter) and self._file.size > _ORC_BYTES:
            self.close_file()

    def close_file(self) -> None:
        """Close the current file, if there is one."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> pq.ParquetWriter | OrcWriter:
        import pyarrow.parquet as pq

        if not self._files:
            self._filesystem.create_dir(self._root, recursive=True)
        path = f"{self._root}/part-{self._files:05d}.{self._format}"
        self._files += 1
        if self._format == ORC:
            self._file = OrcWriter(self._filesystem, path, self._schema)
            return self._file
        # Without Arrow's own schema, so that the files of all engines are alike.
        self._file = pq.ParquetWriter(path, self._schema, filesystem=self._filesystem, store_schema=False)
        return self._file


def finish_files(filesystem: FileSystem, root: str, schema: pyarrow.Schema) -> Content:
    """Count and hash the rows that Spark wrote to a folder. An empty folder gets a file without rows.

    Spark cannot write columns of the type null. They were written as integers, and become null here.

    Parameters
    ----------
    filesystem
        File system of the folder.
    root
        Path of the folder.
    schema
        The stored schema of the rows.
    """
    import pyarrow.parquet as pq
    from pyarrow.fs import FileType

    if filesystem.get_file_info(root).type == FileType.NotFound:
        filesystem.create_dir(root, recursive=True)
    paths = [f"{root}/{name}" for name in parquet_files(filesystem, root)]
    if not paths:
        paths = [f"{root}/part-00000.parquet"]
        pq.write_table(schema.empty_table(), paths[0], filesystem=filesystem, store_schema=False)
    elif any(has_null_type(field.type) for field in schema):
        paths = [_rewritten(filesystem, path, schema) for path in paths]
    for path in paths:
        _refuse_years(path, filesystem)
    return version_of_files(paths, filesystem)


def _refuse_years(path: str, filesystem: FileSystem) -> None:
    """Refuse a file with dates before the year 1 or after 9999, by the statistics in its footer."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    footer = pq.read_metadata(path, filesystem=filesystem)
    kinds = {"DATE": pa.date32(), "TIMESTAMP": pa.timestamp("us")}
    for index in range(footer.num_columns):
        column = footer.schema.column(index)
        kind = kinds.get(column.logical_type.type)
        for group in range(footer.num_row_groups if kind else 0):
            found = footer.row_group(group).column(index).statistics
            if found is not None and found.has_min_max:
                refuse_years(column.path.partition(".")[0], kind, found.min_raw, found.max_raw)


def _rewritten(filesystem: FileSystem, path: str, schema: pyarrow.Schema) -> str:
    """Rewrite a file of Spark under another name, since Spark keeps a checksum of the old one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    beside = path.removesuffix(".parquet") + "-nulls.parquet"
    with (
        pq.ParquetFile(path, filesystem=filesystem) as file,
        pq.ParquetWriter(beside, schema, filesystem=filesystem, store_schema=False) as writer,
    ):
        for batch in file.iter_batches(_ROWS):
            columns = [with_nulls(column, field.type) for column, field in zip(batch.columns, schema, strict=True)]
            writer.write_table(conform(pa.table(columns, schema.names), schema))
    filesystem.delete_file(path)
    return beside
