"""Spark frames to Parquet folders and back, in the types that are stored."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lake_assets.frames.arrow import conform, has_null_type
from lake_assets.frames.parquet import Folder, schema_of
from lake_assets.frames.partition_columns import misplaced, present_columns
from lake_assets.frames.stored_types import RefusedColumn, refuse_repeated, stored_schema

if TYPE_CHECKING:
    import pyarrow
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import DataType, StructType

    from lake_assets.frames.hive_folders import Columns

_WRITING = {
    # Unless told, Spark writes INT96, which others read as another century past the year 2262.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.writeLegacyFormat": "false",
}
"""Set for the write itself: a session may be somebody else's."""

_READING = {"datetimeRebaseMode": "CORRECTED", "int96RebaseMode": "CORRECTED", "mergeSchema": "false"}


def arrow_schema(frame: DataFrame) -> pyarrow.Schema:
    """Return a frame's columns in the types that are stored.

    Raises
    ------
    RefusedColumn
        A column has no such type, or its name stands twice.
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


def write_spark(frame: DataFrame, uri: str, partitions: Mapping[str, Columns] | None) -> pyarrow.Schema:
    """Write a frame as Parquet below ``uri`` in one job. Return its columns, without the partitions'.

    Parameters
    ----------
    frame
        Where there are several partitions, their columns must be in it.
    uri
        An existing folder; for one partition or none, the folder of its files.
    partitions
        Partition key to its columns; None for an unpartitioned frame.

    Raises
    ------
    RefusedColumn
        A column cannot be stored.
    ValueError
        Rows are left over that belong to none of the partitions, or a partition column is missing.
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
        # One name each, by which the observed rows are still told apart from the frame's.
        frame = frame.observe(seen, sf.count_if(~placed).alias("left"), sf.count(sf.lit(1)).alias("all"))
    columns = [_writable(field) for field in data]
    with _conf(frame.sparkSession, _WRITING):
        if partitions is not None and len(partitions) > 1:
            named = [text.alias(name) for name, text in texts.items()]
            frame.select(*columns, *named).write.mode("append").partitionBy(*present).parquet(uri)
        else:
            frame.select(*columns).write.mode("append").parquet(uri)
    if partitions is not None and present and seen.get["left"]:
        raise misplaced(seen.get["left"], seen.get["all"], present, partitions)
    return pa.schema(data)


def read_spark(session: SparkSession, folders: Sequence[Folder], base: str | None) -> DataFrame:
    """Open Parquet folders as one frame, columns by name, with the partitions' columns at the end, as text.

    Parameters
    ----------
    base
        The folder above those of several partitions, whose names say their columns; None for a single one.
    """
    from functools import reduce

    from pyspark.sql import DataFrame

    schema = schema_of(folders)
    names = list(folders[0].columns)
    groups: dict[str, tuple[pyarrow.Schema, list[str]]] = {}
    for part in folders:
        for held, uris in _uris(part):
            groups.setdefault(str(held), (held, []))[1].extend(uris)
    frames: list[DataFrame] = []
    for held, uris in groups.values():
        reader = session.read.options(**_READING).schema(_read_schema(held, names if base is not None else []))
        rows = (reader if base is None else reader.option("basePath", base)).parquet(*uris)
        frames.append(rows.select(*converted_columns(held, schema), *_partition_columns(folders[0], base)))
    return reduce(DataFrame.union, frames)


def arrow_tables(frame: DataFrame) -> Iterator[pyarrow.Table]:
    """Yield a frame's rows in the types that are stored, ten thousand at a time: no more than a few are held at once.

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

    # By their places: mapInArrow takes a name with a backtick for none.
    numbered = frame.toDF(*(f"f{at}" for at in range(len(schema))))
    for row in numbered.mapInArrow(serialised, "batch binary").toLocalIterator(prefetchPartitions=True):
        yield conform(pa.ipc.open_stream(row[0]).read_all().rename_columns(schema.names), schema)


def spark_type(kind: pyarrow.DataType) -> DataType:
    """Return Spark's type of a stored one."""
    from pyspark.sql.pandas.types import from_arrow_type

    return from_arrow_type(kind, prefer_timestamp_ntz=True)


def quoted(name: str) -> str:
    """Return a column's name as Spark takes it for one, dots and all."""
    return "`" + name.replace("`", "``") + "`"


def converted(column: Column, held: pyarrow.DataType, wanted: pyarrow.DataType) -> Column:
    """Return a column as a type that was promoted from its own: fields of structs by name."""
    import pyarrow as pa
    from pyspark.sql import functions as sf

    if pa.types.is_null(held):
        return sf.lit(None) if pa.types.is_null(wanted) else sf.lit(None).cast(spark_type(_readable(wanted)))
    if held == wanted:
        return column
    if isinstance(held, pa.StructType) and isinstance(wanted, pa.StructType):
        there = {field.name: field.type for field in held}
        fields = [
            converted(column[field.name], there.get(field.name, pa.null()), field.type).alias(field.name)
            for field in wanted
        ]
        return sf.when(column.isNotNull(), sf.struct(*fields))
    if isinstance(held, pa.MapType) and isinstance(wanted, pa.MapType):
        keyed = sf.transform_keys(column, lambda key, _: converted(key, held.key_type, wanted.key_type))
        return sf.transform_values(keyed, lambda _, item: converted(item, held.item_type, wanted.item_type))
    if isinstance(held, pa.ListType) and isinstance(wanted, pa.ListType):
        return sf.transform(column, lambda value: converted(value, held.value_type, wanted.value_type))
    return column.cast(spark_type(wanted))


def converted_columns(held: pyarrow.Schema, schema: pyarrow.Schema) -> list[Column]:
    """Return the columns of ``schema`` from a frame that has those of ``held``."""
    import pyarrow as pa
    from pyspark.sql import functions as sf

    return [
        converted(
            sf.col(quoted(field.name)) if field.name in held.names else sf.lit(None),
            held.field(field.name).type if field.name in held.names else pa.null(),
            field.type,
        ).alias(field.name)
        for field in schema
    ]


def _partition_columns(part: Folder, base: str | None) -> list[Column]:
    from pyspark.sql import functions as sf

    return [sf.lit(value).alias(name) if base is None else sf.col(quoted(name)) for name, value in part.columns.items()]


def _uris(part: Folder) -> list[tuple[pyarrow.Schema, list[str]]]:
    """Return a folder's schema and itself; where its files differ, each one's."""
    schemas = list(part.files.values())
    if all(schema.equals(schemas[0]) for schema in schemas):
        return [(schemas[0], [part.uri])]
    return [(schema, [f"{part.uri}/{_literal(name)}"]) for name, schema in part.files.items()]


def _literal(name: str) -> str:
    """Return a file's name with wildcards that stand for themselves."""
    return re.sub(r"([\\*?{}\[\]])", r"\\\1", name)


def _read_schema(schema: pyarrow.Schema, partition: Sequence[str]) -> StructType:
    from pyspark.sql import types

    fields = [types.StructField(field.name, spark_type(_readable(field.type))) for field in schema]
    return types.StructType([*fields, *(types.StructField(name, types.StringType()) for name in partition)])


def _writable(field: pyarrow.Field) -> Column:
    from pyspark.sql import functions as sf

    column = sf.col(quoted(field.name))
    if has_null_type(field.type):
        column = column.cast(spark_type(_readable(field.type)))
    return column.alias(field.name)


def _readable(kind: pyarrow.DataType) -> pyarrow.DataType:
    """Return a type that Spark has in Parquet: it knows no column of nulls there, and reads it as integers."""
    import pyarrow as pa

    if pa.types.is_null(kind):
        return pa.int32()
    if isinstance(kind, pa.StructType):
        return pa.struct([(field.name, _readable(field.type)) for field in kind])
    if isinstance(kind, pa.MapType):
        return pa.map_(_readable(kind.key_type), _readable(kind.item_type))
    if isinstance(kind, pa.ListType):
        return pa.list_(_readable(kind.value_type))
    return kind


def _as_text(frame: DataFrame, name: str) -> Column:
    """Return a partition column as folders spell it; a time at midnight is its day."""
    from pyspark.sql import functions as sf
    from pyspark.sql.types import TimestampNTZType, TimestampType

    text = sf.col(quoted(name)).cast("string")
    if isinstance(frame.schema[name].dataType, (TimestampType, TimestampNTZType)):
        return sf.regexp_replace(text, " 00:00:00$", "")
    return text


def _place(values: Sequence[Column]) -> Column:
    """Return one text of several, null where one is."""
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
