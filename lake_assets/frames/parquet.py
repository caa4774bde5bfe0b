"""Parquet files of an asset: written from Arrow tables, found, and read in the types that are stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lake_assets.content.version import Content, ContentDigest, version_of_files
from lake_assets.frames.arrow import (
    conform,
    has_null_type,
    refuse_years,
    with_nulls,
)
from lake_assets.frames.hive_folders import Columns, folder
from lake_assets.frames.partition_columns import split
from lake_assets.frames.promotions import common_schema
from lake_assets.frames.stored_types import stored_type

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet as pq
    from pyarrow.fs import FileSystem

_FOOTERS_AT_ONCE = 8
_ROWS = 1 << 16


@dataclass(frozen=True, slots=True)
class Folder:
    """The Parquet files of one partition, or of an unpartitioned asset.

    Parameters
    ----------
    root
        Where they lie.
    uri
        The same, for Spark.
    columns
        The partition's columns; they are in no file.
    files
        Their names, and the columns of each.
    """

    root: str
    uri: str
    columns: Columns
    files: Mapping[str, pyarrow.Schema]


def find_folder(filesystem: FileSystem, root: str, uri: str, columns: Columns) -> Folder:
    """Return the Parquet files that lie in a folder itself, with their columns.

    Raises
    ------
    FileNotFoundError
        There is none.
    """
    names = parquet_files(filesystem, root)
    if not names:
        raise FileNotFoundError(f"{root} holds no Parquet file")

    def columns_of(name: str) -> pyarrow.Schema:
        with open_parquet(f"{root}/{name}", filesystem) as file:
            return file_schema(file)

    with ThreadPoolExecutor(_FOOTERS_AT_ONCE) as pool:
        return Folder(root, uri, columns, dict(zip(names, pool.map(columns_of, names), strict=True)))


def schema_of(folders: Sequence[Folder]) -> pyarrow.Schema:
    """Return the schema that holds the rows of all folders, without the partitions' columns.

    Raises
    ------
    RefusedColumn
        There is none.
    """
    files = {f"{part.root}/{name}": schema for part in folders for name, schema in part.files.items()}
    places = {
        f"{folder(part.columns) or part.root}/{name}": f"{part.root}/{name}" for part in folders for name in part.files
    }
    return common_schema({place: files[path] for place, path in places.items()})


def read_table(filesystem: FileSystem, folders: Sequence[Folder]) -> pyarrow.Table:
    """Read folders as one table, with the partitions' columns at the end, as text."""
    import pyarrow as pa

    schema = schema_of(folders)
    tables: list[pa.Table] = []
    for part in folders:
        for name in part.files:
            with open_parquet(f"{part.root}/{name}", filesystem) as file:
                table = conform(conform(file.read(), part.files[name]), schema)
            for column, value in part.columns.items():
                table = table.append_column(column, pa.repeat(pa.scalar(value, pa.string()), table.num_rows))
            tables.append(table)
    return pa.concat_tables(tables)


def write_table(
    table: pyarrow.Table, filesystem: FileSystem, root: str, partitions: Mapping[str, Columns] | None
) -> dict[str, Content]:
    """Write a table as one Parquet file a partition.

    Parameters
    ----------
    table
        In the types that are stored. Where there are several partitions, their columns must be in it.
    root
        An existing folder; for one partition or none, the folder of its files.
    partitions
        Partition key to its columns; None for an unpartitioned table.

    Returns
    -------
    dict
        Partition key to what was written; the key ``""`` for an unpartitioned table.

    Raises
    ------
    ValueError
        Rows are left over that belong to none of the partitions, or a partition column is missing.
    """
    import pyarrow.parquet as pq

    written: dict[str, Content] = {}
    for key, part in split(table, partitions).items():
        target = root
        if partitions is not None and len(partitions) > 1:
            target = f"{root}/{folder(partitions[key])}"
            filesystem.create_dir(target, recursive=True)
        digest = ContentDigest(part.schema)
        # Nothing of Arrow's own in the files: each engine's are alike.
        pq.write_table(part, f"{target}/part-00000.parquet", filesystem=filesystem, store_schema=False)
        for batch in part.to_batches():
            digest.update(batch)
        written[key] = Content(part.num_rows, digest.version())
    return written


def finish_files(filesystem: FileSystem, root: str, schema: pyarrow.Schema) -> Content:
    """Count and hash the rows that Spark wrote to a folder; give it a file of none where there is no row.

    Spark writes no column of nulls: what it was given as integers in its place becomes one.
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
    """Return the names of the Parquet files in a folder, sorted."""
    from pyarrow.fs import FileSelector, FileType

    infos = filesystem.get_file_info(FileSelector(root))
    return sorted(
        info.base_name
        for info in infos
        if info.type == FileType.File and info.base_name.endswith(".parquet") and info.base_name[0] not in "_."
    )


def open_parquet(path: str, filesystem: FileSystem) -> pq.ParquetFile:
    """Open a Parquet file, with the timestamps of old Spark files (INT96) in microseconds, which reach to year 9999."""
    import pyarrow.parquet as pq

    return pq.ParquetFile(path, filesystem=filesystem, coerce_int96_timestamp_unit="us")


def file_schema(file: pq.ParquetFile) -> pyarrow.Schema:
    """Return the columns of a file in the types that are stored; a type that is none of them stays as it is."""
    import pyarrow as pa

    leaves = (file.schema.column(index) for index in range(len(file.schema)))
    return pa.schema([(field.name, _of_file(field.type, leaves)) for field in file.schema_arrow])


def _refuse_years(path: str, filesystem: FileSystem) -> None:
    """Refuse a file by the statistics in its footer, as :func:`.arrow.refuse_beyond_calendar` does rows."""
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
    """Write a file of Spark's anew beside itself, since it has a checksum of Spark's beside it, too."""
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
