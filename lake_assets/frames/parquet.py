"""Writes, finds and reads the Parquet files of an asset, in the stored types."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from lake_assets.content.version import Content, ContentDigest, version_of_files
from lake_assets.frames.conform import (
    conform,
    has_null_type,
    refuse_years,
    with_nulls,
)
from lake_assets.frames.hive_folders import PartitionValues, folder
from lake_assets.frames.partition_columns import split
from lake_assets.frames.promotions import common_schema
from lake_assets.frames.rows import Rows, joined
from lake_assets.frames.stored_types import stored_type

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet as pq
    from pyarrow import NativeFile
    from pyarrow.fs import FileSystem

_FOOTERS_AT_ONCE = 8
_ROWS = 1 << 16
_MOST_OPEN = 64
"""The maximal number of files that a write has open at once, however many partitions there are."""


@dataclass(frozen=True, slots=True)
class Folder:
    """The Parquet files of one partition, or of an unpartitioned asset.

    Parameters
    ----------
    root
        Path of the folder.
    uri
        URI of the folder, for Spark.
    values
        The partition columns, with their values. They are not in the files.
    files
        File name to schema of the file.
    """

    root: str
    uri: str
    values: PartitionValues
    files: Mapping[str, pyarrow.Schema]

    def path(self, name: str) -> str:
        """Return the path of a file.

        Parameters
        ----------
        name
            File name.
        """
        return f"{self.root}/{name}"


class FolderPlace(NamedTuple):
    """A folder in which Parquet files are searched.

    Parameters
    ----------
    root
        Path of the folder.
    uri
        URI of the folder, for Spark.
    values
        The partition columns, with their values.
    names
        The file names, if they are known; None to list the folder.
    """

    root: str
    uri: str
    values: PartitionValues
    names: Sequence[str] | None = None


class ParquetRows(Rows):
    """The rows of Parquet folders. Columns are matched by name. The partition columns come last, as text.

    Parameters
    ----------
    filesystem
        File system of the folders.
    folders
        One folder per partition; at least one.
    base
        URI of the folder that contains several partitions; None for a single folder.

    Raises
    ------
    RefusedColumn
        The files have no common schema.
    """

    def __init__(self, filesystem: FileSystem, folders: Sequence[Folder], base: str | None) -> None:
        self.filesystem = filesystem
        self.folders = folders
        self.base = base
        self.data_schema = parquet_schema(folders)

    @property
    def schema(self) -> pyarrow.Schema:
        """The columns of the files, then the partition columns."""
        import pyarrow as pa

        return pa.schema([*self.data_schema, *((name, pa.string()) for name in self.folders[0].values)])

    @property
    def is_local(self) -> bool:
        """Whether the files are on a local disk."""
        from pyarrow.fs import LocalFileSystem

        return isinstance(self.filesystem, LocalFileSystem)

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pyarrow.Table]:
        """Yield the rows of each file in turn, some ten thousand at a time.

        Parameters
        ----------
        columns
            The wanted columns, in their order; all columns by default.
        """
        import pyarrow as pa

        wanted = list(self.schema.names) if columns is None else list(columns)
        for part, name in self._files():
            stored = part.files[name]
            # Read at least one column, since a table without columns has no number of rows.
            read = [column for column in stored.names if column in wanted] or stored.names[:1]
            with open_parquet(part.path(name), self.filesystem) as file:
                for batch in file.iter_batches(_ROWS, columns=read):
                    yield self._typed(pa.Table.from_batches([batch]), part, stored, wanted)

    def table(self) -> pyarrow.Table:
        """Return the rows of all files. Each file is read as a whole."""
        import pyarrow as pa

        tables: list[pa.Table] = []
        for part, name in self._files():
            with open_parquet(part.path(name), self.filesystem) as file:
                tables.append(self._typed(file.read(), part, part.files[name], self.schema.names))
        return pa.concat_tables(tables)

    def _files(self) -> Iterator[tuple[Folder, str]]:
        return ((part, name) for part in self.folders for name in part.files)

    def _typed(
        self, table: pyarrow.Table, part: Folder, stored: pyarrow.Schema, columns: Sequence[str]
    ) -> pyarrow.Table:
        """Return some columns of rows from a file with the schema ``stored``."""
        import pyarrow as pa

        names = [name for name in columns if name not in part.values]
        read = conform(table, pa.schema([field for field in stored if field.name in names]))
        data = conform(read, pa.schema([self.data_schema.field(name) for name in names]))
        arrays = [
            pa.repeat(pa.scalar(part.values[name], pa.string()), table.num_rows)
            if name in part.values
            else data.column(name)
            for name in columns
        ]
        return pa.Table.from_arrays(arrays, schema=pa.schema([self.schema.field(name) for name in columns]))


def find_folders(filesystem: FileSystem, places: Sequence[FolderPlace]) -> list[Folder]:
    """Return the Parquet files in folders, with their schemas. Subfolders are not searched.

    Parameters
    ----------
    filesystem
        File system of the folders.
    places
        The folders.

    Raises
    ------
    FileNotFoundError
        A folder has no Parquet file.
    """
    found = [(place, place.names or parquet_files(filesystem, place.root)) for place in places]
    for place, names in found:
        if not names:
            raise FileNotFoundError(f"{place.root} holds no Parquet file")

    def read_schema(path: str) -> pyarrow.Schema:
        with open_parquet(path, filesystem) as file:
            return file_schema(file)

    with ThreadPoolExecutor(_FOOTERS_AT_ONCE) as pool:
        schemas = pool.map(read_schema, [f"{place.root}/{name}" for place, names in found for name in names])
        return [
            Folder(place.root, place.uri, place.values, {name: next(schemas) for name in names})
            for place, names in found
        ]


def parquet_schema(folders: Sequence[Folder]) -> pyarrow.Schema:
    """Return the common schema of all files, without the partition columns.

    Parameters
    ----------
    folders
        The folders of the files.

    Raises
    ------
    RefusedColumn
        The files have no common schema.
    """
    return common_schema(
        {
            f"{folder(part.values) or part.root}/{name}": schema
            for part in folders
            for name, schema in part.files.items()
        }
    )


@dataclass(frozen=True, slots=True)
class ParquetTarget:
    """The folder where a frame is written as Parquet.

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
    """

    filesystem: FileSystem
    root: str
    uri: str
    partitions: Mapping[str, PartitionValues] | None

    @property
    def folders(self) -> dict[str, str]:
        """Partition key to its folder below the root; ``{"": ""}`` for an unpartitioned frame."""
        if self.partitions is None:
            return {"": ""}
        return {key: folder(values) for key, values in self.partitions.items()}


def write_rows(rows: Rows, target: ParquetTarget) -> tuple[pyarrow.Schema, dict[str, Content]]:
    """Write rows as Parquet, with one file per partition, or several if the rows of many partitions are mixed.

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
    ValueError
        Some rows belong to none of the partitions, or a partition column is missing.
    """
    parts = split(rows.schema.empty_table(), target.partitions)
    schema = next(iter(parts.values())).schema
    with ExitStack() as stack:
        writers = {
            key: stack.enter_context(_PartitionWriter(target.filesystem, f"{target.root}/{place}".rstrip("/"), schema))
            for key, place in target.folders.items()
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

    def __init__(self, filesystem: FileSystem, root: str, schema: pyarrow.Schema) -> None:
        self._filesystem = filesystem
        self._root = root
        self._schema = schema
        self._digest = ContentDigest(schema)
        self._files = 0
        self._file: pq.ParquetWriter | None = None

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

    def close_file(self) -> None:
        """Close the current file, if there is one."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> pq.ParquetWriter:
        import pyarrow.parquet as pq

        if not self._files:
            self._filesystem.create_dir(self._root, recursive=True)
        path = f"{self._root}/part-{self._files:05d}.parquet"
        self._files += 1
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


def parquet_files(filesystem: FileSystem, root: str) -> list[str]:
    """Return the names of the Parquet files in a folder, sorted.

    Parameters
    ----------
    filesystem
        File system of the folder.
    root
        Path of the folder.
    """
    from pyarrow.fs import FileSelector, FileType

    infos = filesystem.get_file_info(FileSelector(root))
    return sorted(info.base_name for info in infos if info.type == FileType.File and is_parquet(info.base_name))


def is_parquet(name: str) -> bool:
    """Return whether engines read a file of this name as Parquet.

    Parameters
    ----------
    name
        File name.
    """
    return name.endswith(".parquet") and name[0] not in "_."


def open_parquet(source: str | NativeFile, filesystem: FileSystem | None = None) -> pq.ParquetFile:
    """Open a Parquet file.

    The timestamps of old Spark files (INT96) are read in microseconds, so that they may be up to the year 9999.

    Parameters
    ----------
    source
        Path of the file, or an opened file.
    filesystem
        File system of the path.
    """
    import pyarrow.parquet as pq

    return pq.ParquetFile(source, filesystem=filesystem, coerce_int96_timestamp_unit="us")


def file_schema(file: pq.ParquetFile) -> pyarrow.Schema:
    """Return the schema of a file in the stored types. Types that have no stored type stay as they are.

    Parameters
    ----------
    file
        The file.
    """
    import pyarrow as pa

    leaves = (file.schema.column(index) for index in range(len(file.schema)))
    return pa.schema([(field.name, _of_file(field.type, leaves)) for field in file.schema_arrow])


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


def _of_file(kind: pyarrow.DataType, leaves: Iterator[Any]) -> pyarrow.DataType:
    import pyarrow as pa

    if isinstance(kind, pa.StructType):
        return pa.struct([(field.name, _of_file(field.type, leaves)) for field in kind])
    if isinstance(kind, pa.MapType):
        key = _of_file(kind.key_type, leaves)
        return pa.map_(key, _of_file(kind.item_type, leaves))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(_of_file(kind.value_type, leaves))
    if next(leaves).physical_type == "INT96":
        return pa.timestamp("us", "UTC")
    try:
        return stored_type(kind)
    except TypeError:
        return kind
