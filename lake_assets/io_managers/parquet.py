"""Frames as Parquet folders in the lake."""

# No postponed annotations here: Dagster reads those of ResourceDependency fields when the class is made.

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dagster import InputContext, MetadataValue, OutputContext

from lake_assets.content.version import version_of_files
from lake_assets.frames import engines
from lake_assets.frames import pandas as pandas_frames
from lake_assets.frames import spark as spark_frames
from lake_assets.frames.hive_folders import Columns
from lake_assets.frames.parquet import (
    Folder,
    file_schema,
    find_folder,
    finish_files,
    open_parquet,
    parquet_files,
    read_table,
    write_table,
)
from lake_assets.frames.preview import markdown, preview
from lake_assets.io_managers.lake_io_manager import LakeIOManager, Stored, Target
from lake_assets.io_managers.neighbours import refuse_unlike
from lake_assets.io_managers.no_partition import annotation_of
from lake_assets.lake.contract import Lake, LakeObject, Snapshot, Write
from lake_assets.lake.names import join
from lake_assets.resources.spark import session_of

if TYPE_CHECKING:
    import pyarrow


class ParquetIOManager(LakeIOManager):
    """Stores pandas and Spark frames as Parquet, one Hive-style folder a partition.

    A step that writes several partitions at once returns one frame that has the partition columns (``day`` and
    ``hour`` of an hourly asset); for one partition they may be left out. They are the folders' names, and in no file.

    Examples
    --------
    >>> @asset(io_manager_key="parquet_io_manager")
    ... def adults(users: pandas.DataFrame) -> pandas.DataFrame:
    ...     return users[users.age >= 18]
    """

    def _store(self, context: OutputContext, obj: Any, write: Write, target: Target) -> dict[str, Stored]:
        engine = engines.engine_of_value(obj)
        if engine is None:
            raise TypeError(
                f"{context.asset_key.to_user_string()} returned a {type(obj).__name__}; "
                f"parquet_io_manager stores {engines.SUPPORTED}"
            )
        one = next(iter(target.folders.values())) if len(target.folders) == 1 else ""
        root = join(write.root, one)
        if one:
            write.filesystem.create_dir(root, recursive=True)
        if engine == "spark":
            schema = spark_frames.write_spark(obj, join(write.uri, one), target.partitions)
            contents = {
                key: finish_files(write.filesystem, join(write.root, place), schema)
                for key, place in target.folders.items()
            }
            _name_files(write, target)
        else:
            table = pandas_frames.to_arrow(obj)
            names = next(iter(target.partitions.values())) if target.partitions else {}
            schema = table.drop_columns([name for name in names if name in table.column_names]).schema
            contents = write_table(table, write.filesystem, root, target.partitions)
        lake = self.lake.lake
        written = dict.fromkeys(target.folders.values(), schema)
        refuse_unlike(lake, write.base, target.prefix, written, lambda path: _columns_of(lake, write.base, path))
        return {key: Stored(content.rows, content.version) for key, content in contents.items()}

    def _version_of_held(self, lake: Lake, commit: str, path: str, part: Stored, partition: Columns) -> str | None:
        del part, partition
        snapshot = lake.path(commit, path)
        names = parquet_files(snapshot.filesystem, snapshot.root)
        paths = [f"{snapshot.root}/{name}" for name in names]
        return version_of_files(paths, snapshot.filesystem).version if paths else None

    def _load(self, context: InputContext, snapshot: Snapshot, target: Target) -> Any:
        engine = engines.engine_of_annotation(annotation_of(context)[0])
        if engine is None:
            raise TypeError(
                f"cannot load {context.asset_key.to_user_string()} as {context.dagster_type.display_name}: annotate "
                f"the input as {engines.SUPPORTED}"
            )
        several = len(target.folders) > 1
        folders = list(_folders(snapshot, target, several=several))
        if engine == "spark":
            return spark_frames.read_spark(session_of(self.spark), folders, snapshot.uri if several else None)
        return pandas_frames.to_pandas(read_table(snapshot.filesystem, folders))

    def _preview(
        self, lake: Lake, commit: str, path: str, files: Sequence[LakeObject]
    ) -> Mapping[str, MetadataValue[Any]]:
        del path
        filled = next((item for item in files if item.path.endswith(".parquet")), None)
        if filled is None:
            return {}
        snapshot = lake.path(commit, filled.path)
        table = preview(snapshot.filesystem, snapshot.root)
        return {"preview": MetadataValue.md(markdown(table))}

    def _columns(self, lake: Lake, commit: str, target: Target) -> Mapping[str, str] | None:
        import pyarrow.parquet as pq

        for key in target.folders:
            for item in lake.list(commit, target.path(key)):
                if item.path.endswith(".parquet"):
                    snapshot = lake.path(commit, item.path)
                    schema = pq.read_schema(snapshot.root, filesystem=snapshot.filesystem)
                    return {name: str(kind) for name, kind in zip(schema.names, schema.types, strict=True)}
        return None


def _columns_of(lake: Lake, commit: str, path: str) -> "pyarrow.Schema | None":
    if not path.endswith(".parquet"):
        return None
    snapshot = lake.path(commit, path)
    with open_parquet(snapshot.root, snapshot.filesystem) as file:
        return file_schema(file)


def _folders(snapshot: Snapshot, target: Target, *, several: bool) -> Iterator[Folder]:
    columns = target.partitions or {"": {}}
    for key, place in target.folders.items():
        below = place if several else ""
        yield find_folder(snapshot.filesystem, join(snapshot.root, below), join(snapshot.uri, below), columns[key])


def _name_files(write: Write, target: Target) -> None:
    """Give Spark's files names without its random job id, so that equal rows are equal files and no new commit.

    Only on a local disk, where a rename is free; in an object store it would be a copy.
    """
    from pyarrow.fs import FileSelector, LocalFileSystem

    if not isinstance(write.filesystem, LocalFileSystem):
        return
    for place in target.folders.values():
        root = join(write.root, place)
        infos = write.filesystem.get_file_info(FileSelector(root))
        parts = sorted(info.path for info in infos if info.base_name.startswith("part-"))
        for number, path in enumerate(parts):
            write.filesystem.move(path, f"{root}/part-{number:05d}.parquet")
