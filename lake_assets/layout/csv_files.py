"""The columns of a CSV file, from the manifest beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lake_assets.frames.csv import read_header
from lake_assets.frames.csv_columns import CsvColumn, CsvSource
from lake_assets.layout.manifest import MANIFEST, manifest_in

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

    from lake_assets.frames.hive_folders import PartitionValues


def has_manifest(filesystem: FileSystem, path: str) -> bool:
    """Return whether a manifest is beside a file.

    Parameters
    ----------
    filesystem
        File system of the file.
    path
        Path of the file.
    """
    return filesystem.get_file_info(f"{path.rpartition('/')[0]}/{MANIFEST}").is_file


def csv_file(filesystem: FileSystem, path: str, uri: str, partition: PartitionValues) -> CsvSource:
    """Return a file with the columns of the manifest beside it, or those of its header, which are text.

    Parameters
    ----------
    filesystem
        File system of the file.
    path
        Path of the file.
    uri
        URI of the file, for errors.
    partition
        The partition columns, with their values.
    """
    folder, _, name = path.rpartition("/")
    if has_manifest(filesystem, path):
        columns = tuple(CsvColumn(**column) for column in manifest_in(filesystem, folder).columns)
        if columns:
            return CsvSource(name, path, uri, columns, partition)
    with filesystem.open_input_stream(path) as stream:
        names = read_header(stream, name)
    return CsvSource(name, path, uri, tuple(names), partition)
