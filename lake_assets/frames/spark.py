"""Spark's frames. Spark reads and writes Parquet and CSV itself, on all its machines."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lake_assets.frames.conform import conform, has_null_type
from lake_assets.frames.contract import FrameLibrary, OpenSession
from lake_assets.frames.csv import CsvRows
from lake_assets.frames.parquet import Folder, ParquetRows, ParquetTarget, finish_files, parquet_schema
from lake_assets.frames.partition_columns import misplaced_rows, present_columns
from lake_assets.frames.rows import Rows, StreamRows
from lake_assets.frames.spark_columns import converted_columns, quoted, readable_type, spark_type
from lake_assets.frames.stored_types import RefusedColumn, refuse_repeated, stored_schema

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.fs import FileSystem
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import DataType, StructType

    from lake_assets.content.version import Content
    from lake_assets.frames.hive_folders import PartitionValues

_WRITING = {
    # Spark's default is INT96. After the year 2262, other engines read it as a wrong century.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.writeLegacyFormat": "false",
}
"""Settings during a write only, since the session may belong to somebody else."""

_READING = {"datetimeRebaseMode": "CORRECTED", "int96RebaseMode": "CORRECTED", "mergeSchema": "false"}


class SparkFrames(FrameLibrary):
    """Frames of the class `pyspark.sql.DataFrame`."""

    module, class_name = "pyspark.sql", "DataFrame"

    def is_annotation(self, annotation: object) -> bool:
        """Return whether an annotation asks for a Spark frame. The subclasses for kinds of sessions count, too.

        Parameters
        ----------
        annotation
            The annotation of an input.
        """
        frames = self.frame_class
        return frames is not None and isinstance(annotation, type) and issubclass(annotation, frames)

    def rows(self, frame: DataFrame) -> Rows:
        """Return the rows of a frame, which are fetched from Spark in batches.

        Parameters
        ----------
        frame
            The frame.
        """
        return StreamRows(arrow_schema(frame), arrow_tables(frame))

    def write_parquet(self, frame: DataFrame, target: ParquetTarget) -> tuple[pyarrow.Schema, dict[str, Content]]:
        """Write a frame in one Spark job, then hash the files.

        Parameters
        ----------
        frame
            The frame.
        target
            Where the files of each partition go.
        """
        folders = target.folders
        one = next(iter(folders.values())) if len(folders) == 1 else ""
        if one:
            target.filesystem.create_dir(f"{target.root}/{one}", recursive=True)
        schema = write_spark(frame, f"{target.uri}/{one}" if one else target.uri, target.partitions)
        roots = {key: f"{target.root}/{place}" if place else target.root for key, place in folders.items()}
        contents = {key: finish_files(target.filesystem, root, schema) for key, root in roots.items()}
        for root in roots.values():
            _name_files(target.filesystem, root)
        return schema, contents

    def items(self, frame: DataFrame, scratch: Path) -> DataFrame:
        """Return the frame itself, since Spark's workers write the items.

        Parameters
        ----------
        frame
            The frame.
        scratch
            A folder for temporary files. It exists until the items are written.
        """
        del scratch
        return frame

    def read_parquet(self, rows: ParquetRows, session: OpenSession) -> DataFrame:
        """Return a frame that Spark reads from the files.

        Parameters
        ----------
        rows
            The files.
        session
            Starts the Spark session, for a library that needs it.
        """
        return read_spark(session(), rows.folders, rows.base)

    def read_csv(self, rows: CsvRows, session: OpenSession) -> DataFrame:
        """Return a frame that Spark reads from the files.

        Parameters
        ----------
        rows
            The files.
        session
            Starts the Spark session, for a library that needs it.
        """
        from lake_assets.frames.spark_csv import read_spark_csv

        return read_spark_csv(session(), rows.files, rows.base)

    def read_items(self, rows: Rows, scratch: Path, session: OpenSession) -> DataFrame:
        """Return a frame that reads a copy on disk, so that a large table is never in the driver's memory.

        Parameters
        ----------
        rows
            The items.
        scratch
            A folder for temporary files. It exists until the step ends.
        session
            Starts the Spark session, for a library that needs it.
        """
        import pyarrow.parquet as pq

        path = Path(tempfile.mkdtemp(dir=scratch)) / "table.parquet"
        with pq.ParquetWriter(path, rows.schema) as writer:
            for table in rows.tables():
                writer.write_table(table)
        return session().read.parquet(path.as_uri())

    def empty(self, columns: Mapping[str, str], session: OpenSession) -> DataFrame:
        """Return a frame without rows. Its types may be any that Spark knows by name.

        Parameters
        ----------
        columns
            Column name to type name in the asset's definition.
        session
            Starts the Spark session, for a library that needs it.
        """
        from pyspark.sql.types import StructField, StructType

        fields = [StructField(name, _type_named(kind)) for name, kind in columns.items()]
        return session().createDataFrame([], StructType(fields))


def arrow_schema(frame: DataFrame) -> pyarrow.Schema:
    """Return the schema of a frame in the stored types.

    Parameters
    ----------
    frame
        The frame.

    Raises
    ------
    RefusedColumn
        A column has no stored type, or two columns have the same name.
    """
    import pyarrow as pa
    from pyspark.errors import PySparkException
    from pyspark.sql.pandas.types import to_arrow_type

    refuse_repeated(frame.columns)
    fields: list[pa.Field] = []
    for field in frame.schema:
        try:
            fields.append(pa.field(field.name, to_arrow_type(field.dataType)))
        except PySparkException as error:
            raise RefusedColumn(
                f"column {field.name!r} is {field.dataType.simpleString()}, which has no type in the lake: cast it to "
                "one of docs/types.md"
            ) from error
    return stored_schema(pa.schema(fields))


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


def read_spark(session: SparkSession, folders: Sequence[Folder], base: str | None) -> DataFrame:
    """Open Parquet folders as one frame. Columns are matched by name. The partition columns come last, as text.

    Parameters
    ----------
    session
        The Spark session.
    folders
        The folders.
    base
        URI of the folder that contains several partitions. Spark reads the partition columns from the folder names
        below it. None for a single folder.
    """
    from functools import reduce

    from pyspark.sql import DataFrame

    schema = parquet_schema(folders)
    names = list(folders[0].values)
    groups: dict[str, tuple[pyarrow.Schema, list[str]]] = {}
    for part in folders:
        for stored, uris in _uris(part):
            groups.setdefault(str(stored), (stored, []))[1].extend(uris)
    frames: list[DataFrame] = []
    for stored, uris in groups.values():
        reader = session.read.options(**_READING).schema(_read_schema(stored, names if base is not None else []))
        rows = (reader if base is None else reader.option("basePath", base)).parquet(*uris)
        frames.append(rows.select(*converted_columns(stored, schema), *_partition_columns(folders[0], base)))
    return reduce(DataFrame.union, frames)


def arrow_tables(frame: DataFrame) -> Iterator[pyarrow.Table]:
    """Yield the rows of a frame in the stored types, some ten thousand at a time, so that memory is bounded.

    Parameters
    ----------
    frame
        The frame.

    Raises
    ------
    RefusedColumn
        A column cannot be stored.
    """
    import pyarrow as pa

    schema = arrow_schema(frame)

    def serialised(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, batch.schema) as writer:
                writer.write_batch(batch)
            yield pa.record_batch({"batch": pa.array([sink.getvalue().to_pybytes()], pa.binary())})

    # Name the columns by position, since mapInArrow does not accept names with backticks.
    numbered = frame.toDF(*(f"f{at}" for at in range(len(schema))))
    for row in numbered.mapInArrow(serialised, "batch binary").toLocalIterator(prefetchPartitions=True):
        yield conform(pa.ipc.open_stream(row[0]).read_all().rename_columns(schema.names), schema)


def _type_named(name: str) -> DataType:
    """Return Spark's type of a name; text if Spark does not know the name."""
    from pyspark.errors import PySparkException
    from pyspark.sql.types import DataType, StringType

    try:
        return DataType.fromDDL(name)
    except PySparkException:
        return StringType()


def _name_files(filesystem: FileSystem, root: str) -> None:
    """Rename Spark's files to names without a random job id, so that equal rows have the same file names.

    This is done only on a local disk. In an object store, a rename is a copy.
    """
    from pyarrow.fs import FileSelector, LocalFileSystem

    if not isinstance(filesystem, LocalFileSystem):
        return
    parts = sorted(
        info.path for info in filesystem.get_file_info(FileSelector(root)) if info.base_name.startswith("part-")
    )
    for number, path in enumerate(parts):
        filesystem.move(path, f"{root}/part-{number:05d}.parquet")


def _partition_columns(part: Folder, base: str | None) -> list[Column]:
    from pyspark.sql import functions as sf

    return [sf.lit(value).alias(name) if base is None else sf.col(quoted(name)) for name, value in part.values.items()]


def _uris(part: Folder) -> list[tuple[pyarrow.Schema, list[str]]]:
    """Return the schema and the URI of a folder; of each file, if their schemas differ."""
    schemas = list(part.files.values())
    if all(schema.equals(schemas[0]) for schema in schemas):
        return [(schemas[0], [part.uri])]
    return [(schema, [f"{part.uri}/{_literal(name)}"]) for name, schema in part.files.items()]


def _literal(name: str) -> str:
    """Return a file's name, with its wildcards escaped."""
    return re.sub(r"([\\*?{}\[\]])", r"\\\1", name)


def _read_schema(schema: pyarrow.Schema, partition: Sequence[str]) -> StructType:
    from pyspark.sql import types

    fields = [types.StructField(field.name, spark_type(readable_type(field.type))) for field in schema]
    return types.StructType([*fields, *(types.StructField(name, types.StringType()) for name in partition)])


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
