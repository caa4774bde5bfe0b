"""Raw files in the lake, byte for byte."""

# No postponed annotations here: Dagster reads those of ResourceDependency fields when the class is made.

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from dagster import InputContext, OutputContext

from lake_assets.io_managers.frames import engines
from lake_assets.io_managers.lake_io_manager import LakeIOManager, Stored, Target, join
from lake_assets.io_managers.manifest import MANIFEST
from lake_assets.io_managers.no_partition import annotation_of
from lake_assets.io_managers.provenance import SOURCE
from lake_assets.lake.contract import Lake, Snapshot, Write
from lake_assets.lake.errors import InvalidName
from lake_assets.lake.names import check_folder
from lake_assets.resources.spark import can_be_escaped, literal

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

STORES = f"RawFile, dict[str, RawFile] (partition key to file), {engines.SUPPORTED}"
LOADS = f"StoredFile, dict[str, StoredFile] (partition key to file), {engines.SUPPORTED}"


@dataclass(frozen=True, slots=True)
class RawFile:
    """One file to be stored.

    Parameters
    ----------
    name
        File name, without a folder.
    path
        Where it lies now; it is moved away from there. None where its bytes are in place already.
    rows
        Records in it.
    sha256
        Of its bytes, in hexadecimal.
    metadata
        Further materialization metadata. ``source``, where it was fetched from, stands in the commit, too.
    """

    name: str
    path: Path | None = None
    rows: int = 0
    sha256: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file as a commit holds it.

    Parameters
    ----------
    name
        File name, without a folder.
    uri
        Where Spark reads it; wildcards in the name are escaped.
    filesystem, root
        Where PyArrow and pandas read it.
    """

    name: str
    uri: str
    filesystem: "FileSystem"
    root: str

    def open(self) -> BinaryIO:
        """Open it for reading."""
        return self.filesystem.open_input_stream(self.root)


class LakeFileIOManager(LakeIOManager):
    """Stores one raw file a partition; frames are stored as CSV with a header.

    Loaded as ``StoredFile``, as ``dict[str, StoredFile]`` (partition key to file), or as a frame, all of whose columns
    are strings: a raw file says nothing of its types.

    Examples
    --------
    >>> @asset(io_manager_key="lake_file_io_manager")
    ... def readings() -> RawFile:
    ...     return RawFile("readings.csv", path=download(), rows=3, sha256=digest)
    """

    def _store(self, context: OutputContext, obj: Any, write: Write, target: Target) -> dict[str, Stored]:
        from pyarrow.fs import LocalFileSystem, copy_files

        files = self._as_files(context, obj, write, target)
        for file in files.values():
            _check_name(file.name, self.lake.lake)
        stored: dict[str, Stored] = {}
        for key, file in files.items():
            place = join(write.root, target.folders[key])
            write.filesystem.create_dir(place, recursive=True)
            destination = f"{place}/{file.name}"
            if file.path is not None and isinstance(write.filesystem, LocalFileSystem):
                shutil.move(file.path, destination)
            elif file.path is not None:
                copy_files(str(file.path), destination, LocalFileSystem(), write.filesystem)
            metadata = {"checksum": f"sha256:{file.sha256}", **file.metadata}
            stored[key] = Stored(file.rows, file.sha256[:32], metadata)
            if SOURCE in file.metadata:
                source = file.metadata[SOURCE]
                write.metadata[f"{SOURCE}[{key}]" if len(files) > 1 else SOURCE] = str(getattr(source, "value", source))
        return stored

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
        engine = engines.engine_of_value(obj)
        if engine is not None and len(keys) == 1:
            place = join(write.root, target.folders[keys[0]])
            write.filesystem.create_dir(place, recursive=True)
            return {keys[0]: _frame_as_csv(obj, engine, write.filesystem, place, context)}
        raise TypeError(
            f"{context.asset_key.to_user_string()} returned a {type(obj).__name__} for {len(keys)} partition(s); "
            f"lake_file_io_manager stores {STORES}"
        )

    def _load(self, context: InputContext, snapshot: Snapshot, target: Target) -> Any:
        from typing import get_args, get_origin

        kind = annotation_of(context)[0]
        several = len(target.folders) > 1
        files = {key: _stored_file(snapshot, place if several else "") for key, place in target.folders.items()}
        if get_origin(kind) is dict and get_args(kind) == (str, StoredFile):
            return files
        engine = engines.engine_of_annotation(kind)
        if kind is StoredFile and not several:
            return next(iter(files.values()))
        if engine == "spark":
            uris = [file.uri for file in files.values()]
            return self.spark.session.read.csv(uris, header=True, inferSchema=False)
        if engine == "pandas":
            import pandas

            parts: list[pandas.DataFrame] = []
            for file in files.values():
                with file.open() as stream:
                    parts.append(pandas.read_csv(stream, dtype=str, keep_default_na=False))
            return pandas.concat(parts, ignore_index=True)
        raise TypeError(
            f"cannot load {context.asset_key.to_user_string()} ({len(files)} partition(s)) as "
            f"{context.dagster_type.display_name}: annotate the input as {LOADS}"
        )


def _check_name(name: str, lake: Lake) -> None:
    """Refuse a raw file's name that the lake or an engine would not give back.

    Raises
    ------
    InvalidName
        Says what is wrong with it.
    """
    reason = ""
    if "/" in name:
        reason = "has a folder in it"
    elif name.startswith(("_", ".")):
        reason = f"begins with {name[0]!r}, which engines pass over"
    elif not can_be_escaped(name):
        reason = "has both ':' and a wildcard in it, which Spark cannot tell apart"
    elif name.endswith("._COPYING_"):
        reason = "ends with '._COPYING_', which Spark passes over"
    if reason:
        raise InvalidName(
            f"a raw file's name {reason}: give its RawFile another", repository=lake.repository, path=name
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


def _frame_as_csv(
    frame: Any, engine: engines.Engine, filesystem: "FileSystem", place: str, context: OutputContext
) -> RawFile:
    """Write a frame's rows as one CSV file, a batch at a time."""
    import pandas

    name = f"{context.asset_key.path[-1]}.csv"
    digest = hashlib.sha256()
    rows = 0
    batches = [frame] if engine == "pandas" else _spark_batches(frame)
    with filesystem.open_output_stream(f"{place}/{name}") as stream:
        header = pandas.DataFrame(columns=pandas.Index(frame.columns)).to_csv(index=False).encode()
        stream.write(header)
        digest.update(header)
        for batch in batches:
            chunk = batch.to_csv(index=False, header=False).encode()
            stream.write(chunk)
            digest.update(chunk)
            rows += len(batch)
    return RawFile(name, rows=rows, sha256=digest.hexdigest())


def _spark_batches(frame: Any, size: int = 50_000) -> Any:
    import itertools

    import pandas

    rows = frame.toLocalIterator(prefetchPartitions=True)
    while chunk := list(itertools.islice(rows, size)):
        yield pandas.DataFrame(chunk, columns=frame.columns)
