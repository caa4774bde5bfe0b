"""Frames as folders of Parquet, ORC or CSV in the lake."""

# No postponed annotations here: Dagster reads those of ResourceDependency fields when the class is made.

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dagster import InputContext, MetadataValue, OutputContext

from lake_assets.compute.frame import PartsFrame, TaskFrame
from lake_assets.content.version import Content, version_of_files
from lake_assets.frames.contract import FrameLibrary
from lake_assets.frames.csv import CsvRows
from lake_assets.frames.csv_writing import csv_columns
from lake_assets.frames.file_formats import CSV, PARQUET, files_of, format_of
from lake_assets.frames.hive_folders import PartitionValues
from lake_assets.frames.parquet_writing import ParquetTarget
from lake_assets.frames.preview import first_rows, preview
from lake_assets.frames.registry import library_of_value, supported
from lake_assets.frames.stored_types import stored_schema
from lake_assets.io_managers.annotations import library_of_input
from lake_assets.io_managers.inputs import FoundInput
from lake_assets.io_managers.lake_io_manager import LakeIOManager
from lake_assets.io_managers.previews import table_preview
from lake_assets.io_managers.stored_formats import (
    content_of,
    format_in,
    rows_in,
    schema_reader,
    stored_rows,
)
from lake_assets.io_managers.target import Stored, Target
from lake_assets.lake.contract import Lake, LakeObject, Write
from lake_assets.lake.names import join
from lake_assets.layout.neighbours import refuse_incompatible

if TYPE_CHECKING:
    import pyarrow


class ParquetIOManager(LakeIOManager):
    """Stores frames of any library as Parquet, with one Hive-style folder per partition.

    An asset whose metadata have ``{"format": "orc"}`` or ``{"format": "csv"}`` is stored in that format. The types of
    CSV columns are in the manifest beside the file.

    A step that writes several partitions at once returns one frame with the partition columns (``day`` and ``hour`` for
    an hourly asset). For a single partition they may be left out. They become folder names and are not in the files.

    Examples
    --------
    >>> @asset(io_manager_key="parquet_io_manager")
    ... def adults(users: pandas.DataFrame) -> pandas.DataFrame:
    ...     return users[users.age >= 18]
    """

    def _store(self, context: OutputContext, obj: Any, write: Write, target: Target) -> dict[str, Stored]:
        wanted = format_in(context.definition_metadata or {}, context.asset_key.to_user_string())
        lake = self.lake.lake
        read = schema_reader(lake, write.base, wanted)
        schema, contents = self._write(context, obj, write, target, wanted)
        written = dict.fromkeys(target.folders.values(), schema)
        refuse_incompatible(lake, write.base, target.prefix, written, read)
        columns = [column.recorded() for column in csv_columns(schema)] if wanted == CSV else []
        return {key: Stored(*content, columns=columns) for key, content in contents.items()}

    def _write(
        self, context: OutputContext, obj: Any, write: Write, target: Target, file_format: str = PARQUET
    ) -> "tuple[pyarrow.Schema, Mapping[str, Content]]":
        """Write the rows, and return their schema and what was written for each partition."""
        if isinstance(obj, TaskFrame) and file_format == PARQUET:
            return stored_schema(obj.schema), self._run(obj, write, target)
        library = self._library(context, obj)
        parts = library.parts(obj, target.partitions, file_format)
        if parts is not None:
            return parts.schema, self._run(parts, write, target)
        place = ParquetTarget(write.filesystem, write.root, target.partitions, file_format)
        return library.write_parquet(obj, place)

    def _library(self, context: OutputContext, obj: Any) -> FrameLibrary:
        library = library_of_value(obj)
        if library is None:
            only = "; its tasks write Parquet only" if isinstance(obj, TaskFrame) else ""
            raise TypeError(
                f"{context.asset_key.to_user_string()} returned a {type(obj).__name__}; "
                f"parquet_io_manager stores {supported()}{only}"
            )
        return library

    def _run(self, frame: PartsFrame, write: Write, target: Target) -> Mapping[str, Content]:
        """Write a frame's parts. What another attempt of a task writes, and however late, is not in the commit."""
        lake = self.lake.lake
        if not (frame.stragglers and lake.shared):
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
        files = files_of(snapshot.filesystem, snapshot.root)
        if set(files.values()) != {PARQUET}:
            rows = rows_in(snapshot.filesystem, snapshot.root)
            return None if rows is None else content_of(rows).version
        return version_of_files([f"{snapshot.root}/{name}" for name in files], snapshot.filesystem).version

    def _load(self, context: InputContext, found: FoundInput) -> Any:
        library = library_of_input(context)
        rows = stored_rows(found)
        if isinstance(rows, CsvRows):
            return library.read_csv(rows, self._session)
        return library.read_parquet(rows, self._session)

    def _preview(
        self, lake: Lake, commit: str, files: Sequence[LakeObject], definition: Mapping[str, Any]
    ) -> Mapping[str, MetadataValue[Any]]:
        first = next((item for item in files if format_of(item.path.rpartition("/")[2])), None)
        if first is None:
            return {}
        if first.path.endswith(".parquet"):
            snapshot = lake.path(commit, first.path)
            return {"preview": table_preview(preview(snapshot.filesystem, snapshot.root), definition)}
        snapshot = lake.path(commit, first.path.rpartition("/")[0])
        rows = rows_in(snapshot.filesystem, snapshot.root)
        return {} if rows is None else {"preview": table_preview(first_rows(rows), definition)}

    def _columns(self, lake: Lake, commit: str, target: Target) -> Mapping[str, str] | None:
        import pyarrow.parquet as pq

        for key in target.folders:
            for item in lake.list(commit, target.path(key)):
                if item.path.endswith(".parquet"):
                    snapshot = lake.path(commit, item.path)
                    schema = pq.read_schema(snapshot.root, filesystem=snapshot.filesystem)
                    return {name: str(kind) for name, kind in zip(schema.names, schema.types, strict=True)}
                if format_of(item.path.rpartition("/")[2]):
                    snapshot = lake.path(commit, target.path(key))
                    rows = rows_in(snapshot.filesystem, snapshot.root)
                    return None if rows is None else {field.name: str(field.type) for field in rows.schema}
        return None
