"""Raw files in the lake, byte for byte."""

# No postponed annotations here: Dagster reads those of ResourceDependency fields when the class is made.

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, get_args, get_origin

from dagster import InputContext, OutputContext

from lake_assets.content.logical_types import logical_type
from lake_assets.content.version import ContentDigest, algorithm
from lake_assets.frames.conform import conform, has_null_type
from lake_assets.frames.contract import FrameLibrary
from lake_assets.frames.csv import CsvRows, csv_tables
from lake_assets.frames.csv_columns import CsvColumn, CsvSource, csv_schema, typed_schema
from lake_assets.frames.csv_writing import CsvFile, write_csv
from lake_assets.frames.hive_folders import PartitionValues
from lake_assets.frames.promotions import common_schema
from lake_assets.frames.registry import library_of_annotation, library_of_value, supported
from lake_assets.io_managers.annotations import annotation_of
from lake_assets.io_managers.inputs import FoundInput
from lake_assets.io_managers.lake_io_manager import LakeIOManager
from lake_assets.io_managers.target import Stored, Target
from lake_assets.lake.contract import Lake, Snapshot, Write
from lake_assets.lake.errors import InvalidName
from lake_assets.lake.names import check_folder, join
from lake_assets.layout.csv_files import csv_file
from lake_assets.layout.manifest import MANIFEST, read_manifest
from lake_assets.layout.neighbours import refuse_incompatible
from lake_assets.runs.commit_metadata import CommitMetadata
from lake_assets.spark.session import can_be_escaped, literal

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.fs import FileSystem

_DIGITS = 32
"""The digits of a SHA-256 that are a raw file's version."""
_BLOCK = 1 << 20

STORES = f"RawFile, dict[str, RawFile] (partition key to file), {supported()}"
LOADS = f"StoredFile, dict[str, StoredFile] (partition key to file), {supported()}"


@dataclass(frozen=True, slots=True)
class RawFile:
    """A file to be stored.

    Parameters
    ----------
    name
        File name, without a folder.
    path
        Current path of the file. The file is moved away from there. None if its bytes are in place already.
    rows
        The number of records in the file.
    sha256
        SHA-256 of the file, in hexadecimal. Without it, the file is read to compute it.
    metadata
        Further materialization metadata. ``source``, the address that the file was fetched from, also becomes metadata
        of the commit.
    """

    name: str
    path: Path | None = None
    rows: int = 0
    sha256: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file in a commit.

    Parameters
    ----------
    name
        File name, without a folder.
    uri
        URI for Spark. Wildcards in the name are escaped.
    filesystem
        File system for PyArrow and pandas.
    root
        Path in that file system.
    """

    name: str
    uri: str
    filesystem: "FileSystem"
    root: str

    def open(self) -> BinaryIO:
        """Open the file for reading."""
        return self.filesystem.open_input_stream(self.root)


class RawFileIOManager(LakeIOManager):
    """Stores one raw file per partition. Frames are stored as CSV with a header.

    Inputs are loaded as ``StoredFile``, as ``dict[str, StoredFile]`` (partition key to file), or as a frame. A stored
    frame gets its types back from its manifest. All columns of a raw file are text, since their types are not known.

    Examples
    --------
    >>> @asset(io_manager_key="lake_file_io_manager")
    ... def readings() -> RawFile:
    ...     return RawFile("readings.csv", path=download(), rows=3, sha256=digest)
    """

    def _store(self, context: OutputContext, obj: Any, write: Write, target: Target) -> dict[str, Stored]:
        from pyarrow.fs import LocalFileSystem, copy_files

        library = library_of_value(obj)
        if library is not None:
            files = _write_frame(library, obj, f"{context.asset_key.path[-1]}.csv", write, target)
            lake = self.lake.lake
            written = {target.folders[key]: typed_schema(file.columns) for key, file in files.items()}
            base = write.base
            refuse_incompatible(lake, base, target.prefix, written, lambda path: _recorded_schema(lake, base, path))
            return {key: _stored(file) for key, file in files.items()}
        files = self._as_files(context, obj, write, target)
        for file in files.values():
            _check_name(file.name, self.lake.lake)
        stored: dict[str, Stored] = {}
        sources: dict[str, str] = {}
        for key, file in files.items():
            place = join(write.root, target.folders[key])
            write.filesystem.create_dir(place, recursive=True)
            destination = f"{place}/{file.name}"
            sha256 = file.sha256
            if not sha256 and file.path is not None:
                with file.path.open("rb") as stream:
                    sha256 = _sha256(stream)
            if file.path is not None and isinstance(write.filesystem, LocalFileSystem):
                shutil.move(file.path, destination)
            elif file.path is not None:
                copy_files(str(file.path), destination, LocalFileSystem(), write.filesystem)
            if not sha256:
                with write.filesystem.open_input_stream(destination) as stream:
                    sha256 = _sha256(stream)
            metadata = {"checksum": f"sha256:{sha256}", **file.metadata}
            stored[key] = Stored(file.rows, sha256[:_DIGITS], metadata)
            if "source" in file.metadata:
                source = file.metadata["source"]
                sources[key if len(files) > 1 else ""] = str(getattr(source, "value", source))
        write.metadata |= CommitMetadata(sources=sources).to_metadata()
        return stored

    def _recomputed_version(
        self, lake: Lake, commit: str, path: str, part: Stored, partition: PartitionValues
    ) -> str | None:
        snapshot = lake.path(commit, path)
        if not algorithm(part.version):
            with _stored_file(snapshot, "").open() as stream:
                return _sha256(stream)[:_DIGITS]
        # Older programs did not record the types of a frame. So its texts are read with the types of the new frame.
        wanted = [CsvColumn(**column) for column in part.columns]
        with suppress(ValueError):
            source = _source(_stored_file(snapshot, ""), partition)
            # Older programs wrote Spark's timestamps without a time zone.
            for instant in ("instant", "timestamp"):
                types = {c.name: replace(c, type=instant) if c.type == "instant" else c for c in wanted}
                columns = tuple(types.get(name, name) for name in map(_name_of, source.columns))
                if set(types) == {_name_of(column) for column in columns} - set(partition):
                    with suppress(ValueError):
                        return _version_of_csv(snapshot, replace(source, columns=columns), typed_schema(wanted))
        return None

    def _as_files(self, context: OutputContext, obj: Any, write: Write, target: Target) -> Mapping[str, RawFile]:
        keys = list(target.folders)
        if isinstance(obj, RawFile) and len(keys) == 1:
            return {keys[0]: obj}
        if isinstance(obj, dict) and all(isinstance(value, RawFile) for value in obj.values()):
            if sorted(obj) != sorted(keys):
                raise ValueError(
                    f"{context.asset_key.to_user_string()} returned files for {sorted(obj)}, not for {sorted(keys)}"
                )
            return obj
        raise TypeError(
            f"{context.asset_key.to_user_string()} returned a {type(obj).__name__} for {len(keys)} partition(s); "
            f"lake_file_io_manager stores {STORES}"
        )

    def _load(self, context: InputContext, found: FoundInput) -> Any:
        kind = annotation_of(context)[0]
        files = {key: _stored_file(found.snapshot, found.place(key)) for key in found.target.folders}
        if get_origin(kind) is dict and get_args(kind) == (str, StoredFile):
            return files
        if kind is StoredFile and not found.several:
            return next(iter(files.values()))
        library = library_of_annotation(kind)
        if library is None:
            raise TypeError(
                f"cannot load {context.asset_key.to_user_string()} ({len(files)} partition(s)) as "
                f"{context.dagster_type.display_name}: annotate the input as {LOADS}"
            )
        sources = _with_types([_source(file, found.target.values(key)) for key, file in files.items()])
        rows = CsvRows(found.snapshot.filesystem, sources)
        return library.read_csv(rows, self._session)


def _name_of(column: CsvColumn | str) -> str:
    return column if isinstance(column, str) else column.name


def _version_of_csv(snapshot: Snapshot, file: CsvSource, schema: "pyarrow.Schema") -> str:
    digest = ContentDigest(schema)
    with snapshot.filesystem.open_input_stream(file.path) as stream:
        for table in csv_tables(stream, file):
            for batch in conform(table, schema).to_batches():
                digest.update(batch)
    return digest.version()


def _check_name(name: str, lake: Lake) -> None:
    """Refuse a raw file's name that the lake or an engine cannot read back.

    Raises
    ------
    InvalidName
        The message says what is wrong with the name.
    """
    reason = ""
    if "/" in name:
        reason = "has a folder in it"
    elif name.startswith(("_", ".")):
        reason = f"begins with {name[0]!r}, and engines ignore such files"
    elif not can_be_escaped(name):
        reason = "has both ':' and a wildcard in it, which Spark cannot tell apart"
    elif name.endswith("._COPYING_"):
        reason = "ends with '._COPYING_', and Spark ignores such files"
    if reason:
        raise InvalidName(
            f"a raw file's name {reason}: give its RawFile another name", repository=lake.repository, path=name
        )
    check_folder(name, lake.repository, "a raw file's name")


def _stored_file(snapshot: Snapshot, place: str) -> StoredFile:
    from pyarrow.fs import FileSelector

    root = join(snapshot.root, place)
    infos = snapshot.filesystem.get_file_info(FileSelector(root))
    names = [info.base_name for info in infos if info.base_name != MANIFEST]
    if len(names) != 1:
        raise ValueError(f"{snapshot.prefix} at {snapshot.commit} holds {len(names)} files where one is expected")
    return StoredFile(
        names[0],
        uri=literal(join(snapshot.uri, place, names[0])),
        filesystem=snapshot.filesystem,
        root=f"{root}/{names[0]}",
    )


def _sha256(stream: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := stream.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


def _write_frame(library: FrameLibrary, frame: Any, name: str, write: Write, target: Target) -> dict[str, CsvFile]:
    """Write the rows of a frame as one CSV file per partition."""
    places: dict[str, str] = {}
    for key, folder in target.folders.items():
        place = join(write.root, folder)
        write.filesystem.create_dir(place, recursive=True)
        places[key] = f"{place}/{name}"
    return write_csv(library.rows(frame), write.filesystem, places, target.partitions)


def _stored(file: CsvFile) -> Stored:
    return Stored(
        file.content.rows,
        file.content.version,
        {"checksum": f"sha256:{file.sha256}"},
        columns=[column.recorded() for column in file.columns],
    )


def _recorded_schema(lake: Lake, commit: str, path: str) -> "pyarrow.Schema | None":
    """Return the schema that a manifest records; None for other files, or if it records none."""
    if not path.endswith(f"/{MANIFEST}"):
        return None
    columns = read_manifest(lake.path(commit, path)).columns
    return typed_schema([CsvColumn(**column) for column in columns]) if columns else None


def _source(file: StoredFile, partition: PartitionValues) -> CsvSource:
    """Return a file with its columns, from the manifest in its folder, or else from its header."""
    return csv_file(file.filesystem, file.root, file.uri, partition)


def _with_types(sources: Sequence[CsvSource]) -> Sequence[CsvSource]:
    """Give files without recorded types the types of the other files. Older programs did not record a frame's types."""
    schema = common_schema({source.uri: csv_schema(source) for source in sources if not _is_raw(source)})
    types = {field.name: logical_type(field.type) for field in schema if not has_null_type(field.type)}

    def typed(column: CsvColumn | str) -> CsvColumn | str:
        kind = types.get(column) if isinstance(column, str) else None
        return CsvColumn(_name_of(column), kind, kind != "text") if kind else column

    return [replace(source, columns=tuple(map(typed, source.columns))) for source in sources]


def _is_raw(source: CsvSource) -> bool:
    return any(isinstance(column, str) for column in source.columns)
