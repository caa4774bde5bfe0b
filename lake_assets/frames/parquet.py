"""Finds and reads the Parquet or ORC files of an asset, in the stored types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from lake_assets.frames.conform import (
    conform,
)
from lake_assets.frames.file_formats import ORC, PARQUET, files_of
from lake_assets.frames.hive_folders import PartitionValues, folder
from lake_assets.frames.orc import orc_batches, orc_schema
from lake_assets.frames.parquet_files import file_schema, open_parquet
from lake_assets.frames.promotions import common_schema
from lake_assets.frames.rows import Rows

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.fs import FileSystem


_FOOTERS_AT_ONCE = 8

_ROWS = 1 << 16


@dataclass(frozen=True, slots=True)
class Folder:
    """The files of one partition, or of an unpartitioned asset.

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
    """A folder in which files are searched.

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
    file_format
        ``parquet`` or ``orc``.

    Raises
    ------
    RefusedColumn
        The files have no common schema.
    """

    def __init__(
        self, filesystem: FileSystem, folders: Sequence[Folder], base: str | None, file_format: str = PARQUET
    ) -> None:
        self.format = file_format
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
        for part in self.folders:
            yield from self.tables_of(part, columns)

    def tables_of(self, part: Folder, columns: Sequence[str] | None = None) -> Iterator[pyarrow.Table]:
        """Yield the rows of each file of one folder in turn, some ten thousand at a time.

        Parameters
        ----------
        part
            One of the folders.
        columns
            The wanted columns, in their order; all columns by default.
        """
        import pyarrow as pa

        wanted = list(self.schema.names) if columns is None else list(columns)
        for name, stored in part.files.items():
            # Read at least one column, since a table without columns has no number of rows.
            read = [column for column in stored.names if column in wanted] or stored.names[:1]
            for batch in self._batches(part.path(name), read):
                yield self._typed(pa.Table.from_batches([batch]), part, stored, wanted)

    def table(self) -> pyarrow.Table:
        """Return the rows of all files. Each file is read as a whole."""
        import pyarrow as pa

        if self.format == ORC:
            return super().table()
        tables: list[pa.Table] = []
        for part, name in self._files():
            with open_parquet(part.path(name), self.filesystem) as file:
                tables.append(self._typed(file.read(), part, part.files[name], self.schema.names))
        return pa.concat_tables(tables)

    def _batches(self, path: str, columns: Sequence[str]) -> Iterator[pyarrow.RecordBatch]:
        if self.format == ORC:
            yield from orc_batches(self.filesystem, path, columns)
            return
        with open_parquet(path, self.filesystem) as file:
            yield from file.iter_batches(_ROWS, columns=columns)

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


def find_folders(filesystem: FileSystem, places: Sequence[FolderPlace], file_format: str = PARQUET) -> list[Folder]:
    """Return the files in folders, with their schemas. Subfolders are not searched.

    Parameters
    ----------
    filesystem
        File system of the folders.
    places
        The folders.
    file_format
        ``parquet`` or ``orc``.

    Raises
    ------
    FileNotFoundError
        A folder has no file of this format.
    """
    found = [(place, place.names or _names(filesystem, place.root, file_format)) for place in places]
    for place, names in found:
        if not names:
            raise FileNotFoundError(f"{place.root} holds no {'Parquet' if file_format == PARQUET else 'ORC'} file")

    def read_schema(path: str) -> pyarrow.Schema:
        if file_format == ORC:
            return orc_schema(filesystem, path)
        with open_parquet(path, filesystem) as file:
            return file_schema(file)

    with ThreadPoolExecutor(_FOOTERS_AT_ONCE) as pool:
        schemas = pool.map(read_schema, [f"{place.root}/{name}" for place, names in found for name in names])
        return [
            Folder(place.root, place.uri, place.values, {name: next(schemas) for name in names})
            for place, names in found
        ]


def _names(filesystem: FileSystem, root: str, file_format: str) -> list[str]:
    return [name for name, kind in files_of(filesystem, root).items() if kind == file_format]


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
