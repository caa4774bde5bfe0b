"""Opens Parquet and ORC files as frames of Spark."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lake_assets.frames.file_formats import ORC, PARQUET
from lake_assets.frames.parquet import Folder, parquet_schema
from lake_assets.frames.spark_columns import converted_columns, quoted, readable_type, spark_type
from lake_assets.frames.spark_orc import read_orc

if TYPE_CHECKING:
    import pyarrow
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import StructType


_READING = {"datetimeRebaseMode": "CORRECTED", "int96RebaseMode": "CORRECTED", "mergeSchema": "false"}


def read_spark(
    session: SparkSession, folders: Sequence[Folder], base: str | None, file_format: str = PARQUET
) -> DataFrame:
    """Open folders as one frame. Columns are matched by name. The partition columns come last, as text.

    Parameters
    ----------
    session
        The Spark session.
    folders
        The folders.
    base
        URI of the folder that contains several partitions. Spark reads the partition columns from the folder names
        below it. None for a single folder.
    file_format
        ``parquet`` or ``orc``.
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
        if file_format == ORC:
            rows = read_orc(session, stored, uris, names if base is not None else [], base)
        else:
            reader = session.read.options(**_READING).schema(_read_schema(stored, names if base is not None else []))
            rows = (reader if base is None else reader.option("basePath", base)).parquet(*uris)
        frames.append(rows.select(*converted_columns(stored, schema), *_partition_columns(folders[0], base)))
    return reduce(DataFrame.union, frames)


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
