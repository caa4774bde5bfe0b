"""The Parquet files of a folder: their names, and their schemas in the stored types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lake_assets.frames.file_formats import PARQUET, files_of, format_of
from lake_assets.frames.stored_types import stored_type

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet as pq
    from pyarrow import NativeFile
    from pyarrow.fs import FileSystem


def parquet_files(filesystem: FileSystem, root: str) -> list[str]:
    """Return the names of the Parquet files in a folder, sorted.

    Parameters
    ----------
    filesystem
        File system of the folder.
    root
        Path of the folder.
    """
    return [name for name, kind in files_of(filesystem, root).items() if kind == PARQUET]


def is_parquet(name: str) -> bool:
    """Return whether engines read a file of this name as Parquet.

    Parameters
    ----------
    name
        File name.
    """
    return format_of(name) == PARQUET


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
