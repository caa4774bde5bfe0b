"""Frames as Parquet folders in the lake."""

# No postponed annotations here: Dagster reads those of ResourceDependency fields when the class is made.

from collections.abc import Mapping, Sequence
from typing import Any

from dagster import InputContext, MetadataValue, OutputContext

from lake_assets.io_managers import frames
from lake_assets.io_managers.lake_io_manager import LakeIOManager, Stored, Target, join
from lake_assets.io_managers.no_partition import annotation_of
from lake_assets.lake.contract import Lake, LakeObject, Snapshot, Write


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
        engine = frames.engine_of_value(obj)
        if engine is None:
            raise TypeError(
                f"{context.asset_key.to_user_string()} returned a {type(obj).__name__}; "
                f"parquet_io_manager stores {frames.SUPPORTED}"
            )
        one = next(iter(target.folders.values())) if len(target.folders) == 1 else ""
        root = join(write.root, one)
        if one:
            write.filesystem.create_dir(root, recursive=True)
        if engine == "spark":
            written = frames.write_spark(obj, join(write.uri, one), target.partitions)
            _fill_empty_partitions(obj, write, target)
            _name_files(write, target)
        else:
            written = frames.write_pandas(obj, write.filesystem, root, target.partitions)
        return {key: Stored(part.rows, part.version) for key, part in written.items()}

    def _load(self, context: InputContext, snapshot: Snapshot, target: Target) -> Any:
        engine = frames.engine_of_annotation(annotation_of(context)[0])
        if engine is None:
            raise TypeError(
                f"cannot load {context.asset_key.to_user_string()} as {context.dagster_type.display_name}: annotate "
                f"the input as {frames.SUPPORTED}"
            )
        several = len(target.folders) > 1
        if engine == "spark":
            uris = [join(snapshot.uri, place) for place in target.folders.values()] if several else [snapshot.uri]
            return frames.read_spark(self.spark.session, uris, snapshot.uri if several else None)
        columns = target.partitions or {"": {}}
        places = [
            (join(snapshot.root, target.folders[key]) if several else snapshot.root, columns[key])
            for key in target.folders
        ]
        return frames.read_pandas(snapshot.filesystem, places, with_columns=several)

    def _preview(
        self, lake: Lake, commit: str, path: str, files: Sequence[LakeObject]
    ) -> Mapping[str, MetadataValue[Any]]:
        del path
        filled = next((item for item in files if item.path.endswith(".parquet")), None)
        if filled is None:
            return {}
        snapshot = lake.path(commit, filled.path)
        table = frames.preview(snapshot.filesystem, snapshot.root)
        return {"preview": MetadataValue.md(frames.markdown(table))}

    def _columns(self, lake: Lake, commit: str, target: Target) -> Mapping[str, str] | None:
        import pyarrow.parquet as pq

        for key in target.folders:
            for item in lake.list(commit, target.path(key)):
                if item.path.endswith(".parquet"):
                    snapshot = lake.path(commit, item.path)
                    schema = pq.read_schema(snapshot.root, filesystem=snapshot.filesystem)
                    return {name: str(kind) for name, kind in zip(schema.names, schema.types, strict=True)}
        return None


def _fill_empty_partitions(frame: Any, write: Write, target: Target) -> None:
    """Give each partition that got no row a file that has the schema: an empty partition is data, too."""
    import pyarrow.parquet as pq
    from pyarrow.fs import FileType
    from pyspark.sql.pandas.types import to_arrow_schema

    for key, place in target.folders.items():
        info = write.filesystem.get_file_info(join(write.root, place))
        if info.type == FileType.NotFound:
            names = (target.partitions or {}).get(key, {})
            schema = to_arrow_schema(frame.drop(*names).schema)
            write.filesystem.create_dir(info.path, recursive=True)
            pq.write_table(schema.empty_table(), f"{info.path}/part-00000.parquet", filesystem=write.filesystem)


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
