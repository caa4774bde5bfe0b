"""Frames as Parquet folders in the lake."""

# No postponed annotations here: Dagster reads those of ResourceDependency fields when the class is made.

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dagster import InputContext, MetadataValue, OutputContext

from lake_assets.compute.frame import TaskFrame
from lake_assets.content.version import Content, version_of_files
from lake_assets.frames.hive_folders import PartitionValues
from lake_assets.frames.parquet import FolderPlace, ParquetRows, find_folders
from lake_assets.frames.parquet_files import file_schema, is_parquet, open_parquet, parquet_files
from lake_assets.frames.parquet_writing import ParquetTarget
from lake_assets.frames.preview import preview
from lake_assets.frames.registry import library_of_value, supported
from lake_assets.frames.stored_types import stored_schema
from lake_assets.io_managers.annotations import library_of_input
from lake_assets.io_managers.inputs import FoundInput
from lake_assets.io_managers.lake_io_manager import LakeIOManager
from lake_assets.io_managers.previews import table_preview
from lake_assets.io_managers.target import Stored, Target
from lake_assets.lake.contract import Lake, LakeObject, Write
from lake_assets.lake.names import join
from lake_assets.layout.neighbours import refuse_incompatible

if TYPE_CHECKING:
    import pyarrow


class ParquetIOManager(LakeIOManager):
    """Stores frames of any library as Parquet, with one Hive-style folder per partition.

    A step that writes several partitions at once returns one frame with the partition columns (``day`` and ``hour`` for
    an hourly asset). For a single partition they may be left out. They become folder names and are not in the files.

    Examples
    --------
    >>> @asset(io_manager_key="parquet_io_manager")
    ... def adults(users: pandas.DataFrame) -> pandas.DataFrame:
    ...     return users[users.age >= 18]
    """

    def _store(self, context: OutputContext, obj: Any, write: Write, target: Target) -> dict[str, Stored]:
        schema, contents = self._write(context, obj, write, target)
        lake = self.lake.lake
        written = dict.fromkeys(target.folders.values(), schema)
        refuse_incompatible(lake, write.base, target.prefix, written, lambda path: _schema_at(lake, write.base, path))
        return {key: Stored(content.rows, content.version) for key, content in contents.items()}

    def _write(
        self, context: OutputContext, obj: Any, write: Write, target: Target
    ) -> "tuple[pyarrow.Schema, Mapping[str, Content]]":
        """Write the rows, and return their schema and what was written for each partition."""
        if isinstance(obj, TaskFrame):
            return stored_schema(obj.schema), self._run(obj, write, target)
        library = library_of_value(obj)
        if library is None:
            raise TypeError(
                f"{context.asset_key.to_user_string()} returned a {type(obj).__name__}; "
                f"parquet_io_manager stores {supported()}"
            )
        return library.write_parquet(obj, ParquetTarget(write.filesystem, write.root, write.uri, target.partitions))

    def _run(self, frame: TaskFrame, write: Write, target: Target) -> Mapping[str, Content]:
        """Run a frame's tasks. What another attempt of a task writes, and however late, is not in the commit."""
        lake = self.lake.lake
        if not (frame.executor.stragglers and lake.shared):
            return frame.write(
                write.filesystem, {key: join(write.root, folder) for key, folder in target.folders.items()}
            )
        with lake.aside(write.base) as aside:
            places = {key: f"parts/{number}" for number, key in enumerate(target.folders)}
            contents = frame.write(aside.filesystem, {key: f"{aside.root}/{place}" for key, place in places.items()})
            for key, parts in frame.parts.items():
                names = [part.name for part in parts if part.name]
                aside.give(write, {f"{places[key]}/{name}": join(target.path(key), name) for name in names})
            return contents

    def _recomputed_version(
        self, lake: Lake, commit: str, path: str, part: Stored, partition: PartitionValues
    ) -> str | None:
        del part, partition
        snapshot = lake.path(commit, path)
        names = parquet_files(snapshot.filesystem, snapshot.root)
        paths = [f"{snapshot.root}/{name}" for name in names]
        return version_of_files(paths, snapshot.filesystem).version if paths else None

    def _load(self, context: InputContext, found: FoundInput) -> Any:
        library = library_of_input(context)
        return library.read_parquet(_rows(found), self._session)

    def _preview(
        self, lake: Lake, commit: str, files: Sequence[LakeObject], definition: Mapping[str, Any]
    ) -> Mapping[str, MetadataValue[Any]]:
        first = next((item for item in files if item.path.endswith(".parquet")), None)
        if first is None:
            return {}
        snapshot = lake.path(commit, first.path)
        return {"preview": table_preview(preview(snapshot.filesystem, snapshot.root), definition)}

    def _columns(self, lake: Lake, commit: str, target: Target) -> Mapping[str, str] | None:
        import pyarrow.parquet as pq

        for key in target.folders:
            for item in lake.list(commit, target.path(key)):
                if item.path.endswith(".parquet"):
                    snapshot = lake.path(commit, item.path)
                    schema = pq.read_schema(snapshot.root, filesystem=snapshot.filesystem)
                    return {name: str(kind) for name, kind in zip(schema.names, schema.types, strict=True)}
        return None


def _schema_at(lake: Lake, commit: str, path: str) -> "pyarrow.Schema | None":
    """Return the schema of a Parquet file; None for other files."""
    if not path.endswith(".parquet"):
        return None
    snapshot = lake.path(commit, path)
    with open_parquet(snapshot.root, snapshot.filesystem) as file:
        return file_schema(file)


def _rows(found: FoundInput) -> ParquetRows:
    snapshot, target = found.snapshot, found.target
    places: list[FolderPlace] = []
    for key, place in target.folders.items():
        below = found.place(key)
        names = sorted(filter(is_parquet, found.files[place])) if found.several else None
        places.append(FolderPlace(join(snapshot.root, below), join(snapshot.uri, below), target.values(key), names))
    folders = find_folders(snapshot.filesystem, places)
    return ParquetRows(snapshot.filesystem, folders, snapshot.uri if found.several else None)
