"""Writes Spark's frames as Parquet, on all its machines."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lake_assets.frames.conform import has_null_type
from lake_assets.frames.partition_columns import misplaced_rows, present_columns
from lake_assets.frames.spark_batches import arrow_schema
from lake_assets.frames.spark_columns import quoted, readable_type, spark_type

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.fs import FileSystem
    from pyspark.sql import Column, DataFrame, SparkSession

    from lake_assets.frames.hive_folders import PartitionValues


_WRITING = {
    # Spark's default is INT96. After the year 2262, other engines read it as a wrong century.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.writeLegacyFormat": "false",
}
"""Settings during a write only, since the session may belong to somebody else."""


def write_spark(frame: DataFrame, uri: str, partitions: Mapping[str, PartitionValues] | None) -> pyarrow.Schema:
    """Write a frame as Parquet in one job, and return its schema without the partition columns.

    Parameters
    ----------
    frame
        The rows. For several partitions, it must have the partition columns.
    uri
        An existing folder. For several partitions, their folders are created in it. Otherwise, the files go there.
    partitions
        Partition key to its partition columns; None for an unpartitioned frame.

    Raises
    ------
    RefusedColumn
        A column cannot be stored.
    ValueError
        Some rows belong to none of the partitions, or a partition column is missing.
    """
    import pyarrow as pa
    from pyspark.sql import Observation
    from pyspark.sql import functions as sf

    schema = arrow_schema(frame)
    present = present_columns(frame.columns, partitions)
    data = [field for field in schema if field.name not in present]
    texts = {name: _as_text(frame, name) for name in present}
    seen = Observation()
    if partitions is not None and present:
        places = [_place([sf.lit(columns[name]) for name in present]) for columns in partitions.values()]
        placed = sf.coalesce(_place(list(texts.values())).isin(*places), sf.lit(False))
        frame = frame.observe(seen, sf.count_if(~placed).alias("left"), sf.count(sf.lit(1)).alias("all"))
    columns = [_writable(field) for field in data]
    with _conf(frame.sparkSession, _WRITING):
        if partitions is not None and len(partitions) > 1:
            named = [text.alias(name) for name, text in texts.items()]
            frame.select(*columns, *named).write.mode("append").partitionBy(*present).parquet(uri)
        else:
            frame.select(*columns).write.mode("append").parquet(uri)
    if partitions is not None and present and seen.get["left"]:
        raise misplaced_rows(seen.get["left"], seen.get["all"], present, partitions)
    return pa.schema(data)


def name_files(filesystem: FileSystem, root: str) -> None:
    """Rename Spark's files to names without a random job id, so that equal rows have the same file names.

    This is done only on a local disk. In an object store, a rename is a copy.

    Parameters
    ----------
    filesystem
        File system of the folder.
    root
        Path of the folder.
    """
    from pyarrow.fs import FileSelector, LocalFileSystem

    if not isinstance(filesystem, LocalFileSystem):
        return
    parts = sorted(
        info.path for info in filesystem.get_file_info(FileSelector(root)) if info.base_name.startswith("part-")
    )
    for number, path in enumerate(parts):
        filesystem.move(path, f"{root}/part-{number:05d}.parquet")


def _writable(field: pyarrow.Field) -> Column:
    from pyspark.sql import functions as sf

    column = sf.col(quoted(field.name))
    if has_null_type(field.type):
        column = column.cast(spark_type(readable_type(field.type)))
    return column.alias(field.name)


def _as_text(frame: DataFrame, name: str) -> Column:
    """Return a partition column as text, as in the folders. A time at midnight is written as its day."""
    from pyspark.sql import functions as sf
    from pyspark.sql.types import TimestampNTZType, TimestampType

    text = sf.col(quoted(name)).cast("string")
    if isinstance(frame.schema[name].dataType, (TimestampType, TimestampNTZType)):
        return sf.regexp_replace(text, " 00:00:00$", "")
    return text


def _place(values: Sequence[Column]) -> Column:
    """Join several texts to one, which is null if one of them is null."""
    from pyspark.sql import functions as sf

    return sf.concat(*(part for value in values for part in (value, sf.lit("\n"))))


@contextmanager
def _conf(session: SparkSession, settings: Mapping[str, str]) -> Generator[None]:
    before = {name: session.conf.get(name, None) for name in settings}
    try:
        for name, value in settings.items():
            session.conf.set(name, value)
        yield
    finally:
        for name, value in before.items():
            if value is None:
                session.conf.unset(name)
            else:
                session.conf.set(name, value)
