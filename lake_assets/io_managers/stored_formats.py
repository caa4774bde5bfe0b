"""The files of an asset in the formats ORC and CSV: what its definition says, and how they are written and read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lake_assets.content.version import Content, ContentDigest
from lake_assets.frames.csv import CsvRows
from lake_assets.frames.csv_columns import CsvColumn, typed_schema
from lake_assets.frames.file_formats import CSV, FORMATS, ORC, PARQUET, format_of
from lake_assets.frames.orc import orc_schema
from lake_assets.frames.parquet import FolderPlace, ParquetRows, find_folders
from lake_assets.frames.parquet_files import file_schema, open_parquet
from lake_assets.lake.names import join
from lake_assets.layout.csv_files import csv_file
from lake_assets.layout.manifest import MANIFEST, read_manifest

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.fs import FileSystem

    from lake_assets.frames.rows import Rows
    from lake_assets.io_managers.inputs import FoundInput
    from lake_assets.lake.contract import Lake

FORMAT = "format"
"""Metadata key of an asset: the format of its files, ``parquet`` (the default), ``orc`` or ``csv``."""


def format_in(definition: Mapping[str, Any], name: str) -> str:
    """Return the format that an asset's metadata ask for.

    Parameters
    ----------
    definition
        The metadata of the asset's definition.
    name
        Name of the asset, for errors.

    Raises
    ------
    ValueError
        There is no such format.
    """
    value = definition.get(FORMAT, PARQUET)
    wanted = getattr(value, "value", value)
    if wanted not in FORMATS:
        raise ValueError(f"the metadata of {name} ask for the format {wanted!r}: there are {', '.join(FORMATS)}")
    return wanted


def schema_reader(lake: Lake, commit: str, wanted: str) -> Callable[[str], pyarrow.Schema | None]:
    """Return a function that returns the schema of a file in a commit, and refuses files of another format.

    Parameters
    ----------
    lake, commit
        Where the files are.
    wanted
        The format of the write.
    """

    def read(path: str) -> pyarrow.Schema | None:
        folder, _, name = path.rpartition("/")
        found = format_of(name)
        if found is None:
            return None
        if found != wanted:
            raise ValueError(
                f"{path!r} is stored as {found}, and this write as {wanted}: all partitions of an asset have one "
                f"format. Take it off by `lake-assets delete`, then materialize all partitions as {wanted}"
            )
        if found == CSV:
            return typed_schema(
                CsvColumn(**each) for each in read_manifest(lake.path(commit, f"{folder}/{MANIFEST}")).columns
            )
        snapshot = lake.path(commit, path)
        if found == ORC:
            return orc_schema(snapshot.filesystem, snapshot.root)
        with open_parquet(snapshot.root, snapshot.filesystem) as file:
            return file_schema(file)

    return read


def stored_rows(found: FoundInput) -> ParquetRows | CsvRows:
    """Return the rows of an input's files.

    Parameters
    ----------
    found
        The input.

    Raises
    ------
    ValueError
        The files are of several formats.
    """
    snapshot, target = found.snapshot, found.target
    places: dict[str, FolderPlace] = {}
    for key, folder in target.folders.items():
        below = found.place(key)
        root = join(snapshot.root, below)
        names = found.files[folder] if found.several else _names(snapshot.filesystem, root)
        shown = sorted(name for name in names if format_of(name))
        places[folder] = FolderPlace(root, join(snapshot.uri, below), target.values(key), shown)
    formats = {format_of(name): folder for folder, place in places.items() for name in place.names or ()}
    if len(formats) > 1:
        told = " and ".join(f"{kind} (such as {target.prefix}/{folder})" for kind, folder in sorted(formats.items()))
        raise ValueError(f"{target.prefix} is stored as {told}: materialize all partitions in one format")
    base = snapshot.uri if found.several else None
    return _rows(snapshot.filesystem, list(places.values()), base, next(iter(formats), PARQUET) or PARQUET)


def rows_in(filesystem: FileSystem, root: str) -> ParquetRows | CsvRows | None:
    """Return the rows in a folder; None if it holds none.

    Parameters
    ----------
    filesystem
        File system of the folder.
    root
        Path of the folder.
    """
    names = [name for name in _names(filesystem, root) if format_of(name)]
    formats = {format_of(name) for name in names}
    if len(formats) != 1:
        return None
    return _rows(filesystem, [FolderPlace(root, root, {}, sorted(names))], None, formats.pop() or PARQUET)


def content_of(rows: Rows) -> Content:
    """Return number and version of rows.

    Parameters
    ----------
    rows
        The rows.
    """
    digest = ContentDigest(rows.schema)
    for table in rows.tables():
        for batch in table.to_batches():
            digest.update(batch)
    return Content(digest.rows, digest.version())


def _rows(
    filesystem: FileSystem, places: Sequence[FolderPlace], base: str | None, file_format: str
) -> ParquetRows | CsvRows:
    if file_format != CSV:
        return ParquetRows(filesystem, find_folders(filesystem, places, file_format), base, file_format)
    sources = [
        csv_file(filesystem, f"{place.root}/{name}", f"{place.uri}/{name}", place.values)
        for place in places
        for name in place.names or ()
    ]
    return CsvRows(filesystem, sources)


def _names(filesystem: FileSystem, root: str) -> list[str]:
    from pyarrow.fs import FileSelector, FileType

    infos = filesystem.get_file_info(FileSelector(root, allow_not_found=True))
    return [info.base_name for info in infos if info.type == FileType.File]
