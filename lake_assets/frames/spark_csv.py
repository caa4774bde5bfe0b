"""Reads CSV files as Spark frames, in the format of :mod:`.csv`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING
from uuid import uuid4

from lake_assets.frames.csv_columns import CsvColumn, CsvSource, csv_schema
from lake_assets.frames.promotions import common_schema
from lake_assets.frames.spark_columns import converted_columns, quoted, spark_type

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

_OPTIONS = {"header": "true", "multiLine": "true", "quote": '"', "escape": '"', "encoding": "UTF-8"}
_EXTRA = "beyond the header"


def read_spark_csv(session: SparkSession, files: Sequence[CsvSource], base: str | None) -> DataFrame:
    """Open CSV files as one frame. Columns are matched by name. The partition columns come last, as text.

    A job that reads a record with more fields than the header fails. So does a job that reads a partition column with
    other values than the folder.

    Parameters
    ----------
    session
        The Spark session.
    files
        The files.
    base
        URI of the folder that contains several partitions. Spark reads the partition columns from the folder names
        below it. None for a single file.
    """
    from pyspark.sql import DataFrame
    from pyspark.sql import functions as sf

    partition = list(files[0].partition)
    common = common_schema({file.uri: csv_schema(file) for file in files})
    alike: dict[tuple[tuple[CsvColumn | str, ...], str], list[CsvSource]] = {}
    for file in files:
        alike.setdefault((file.columns, file.line_end), []).append(file)
    fixed = None if base is not None else files[0].partition
    frames: list[DataFrame] = []
    for (columns, _), group in alike.items():
        rows = _open(session, group, partition, base)
        folder = {name: sf.col(quoted(name)) if fixed is None else sf.lit(fixed[name]) for name in partition}
        data = _checked(rows, columns, folder)
        typed = data.select(
            *converted_columns(csv_schema(group[0]), common), *(sf.col(quoted(name)) for name in partition)
        )
        frames.append(typed)
    return reduce(DataFrame.union, frames)


def _open(session: SparkSession, files: Sequence[CsvSource], partition: Sequence[str], base: str | None) -> DataFrame:
    """Open files with the same columns as texts. They are named by position: a header may have partition columns."""
    from pyspark.sql.types import StringType, StructField, StructType

    places = [*map(_place, range(len(files[0].columns))), _EXTRA, *(partition if base is not None else ())]
    reader = session.read.schema(StructType([StructField(name, StringType()) for name in places]))
    # Without it, Spark guesses the line end, and is wrong if a quoted field contains another line end.
    reader = reader.options(**_OPTIONS, lineSep=files[0].line_end)
    if files[0].quoted:
        # What stands for null must be none of the texts.
        reader = reader.option("nullValue", f"null {uuid4()}").option("emptyValue", "")
    return (reader if base is None else reader.option("basePath", base)).csv([file.uri for file in files])


def _checked(rows: DataFrame, columns: Sequence[CsvColumn | str], folder: Mapping[str, Column]) -> DataFrame:
    from pyspark.sql import functions as sf

    fields = [sf.col(quoted(_place(at))) for at in range(len(columns))]
    texts = {
        column if isinstance(column, str) else column.name: field
        if isinstance(column, CsvColumn) and column.quoted
        else sf.coalesce(field, sf.lit(""))
        for column, field in zip(columns, fields, strict=True)
    }
    extra = sf.coalesce(sf.col(quoted(_EXTRA)), sf.lit(""))
    rows = rows.where(_assured(extra == "", f"a record has more fields than the header's {len(columns)}"))
    for name, value in folder.items():
        if name in texts:
            rows = rows.where(_assured(texts[name] == value, f"column {name!r} has other values than its folder"))
    data = [
        (texts[column] if isinstance(column, str) else _typed(texts[column.name], column)).alias(name)
        for column, name in zip(columns, texts, strict=True)
        if name not in folder
    ]
    return rows.select(*data, *(value.alias(name) for name, value in folder.items()))


def _typed(text: Column, column: CsvColumn) -> Column:
    import pyarrow as pa
    from pyspark.sql import functions as sf

    kind = column.arrow_type
    if pa.types.is_null(kind):
        return sf.lit(None)
    if pa.types.is_string(kind) and (column.quoted or not column.nulls):
        return text
    return sf.nullif(text, sf.lit("")).cast(spark_type(kind))


def _place(at: int) -> str:
    return f"field {at}"


def _assured(condition: Column, message: str) -> Column:
    from pyspark.sql import functions as sf

    return sf.when(condition, sf.lit(True)).otherwise(sf.raise_error(sf.lit(message)).cast("boolean"))
