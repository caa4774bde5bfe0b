"""Reads CSV files as Spark frames. Workers read them by :mod:`.csv`, so a field is in Spark what it is elsewhere.

Spark's own reader takes a NUL before a quote for an escape, and guesses line ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from lake_assets.frames.csv import file_tables
from lake_assets.frames.csv_columns import CsvSource
from lake_assets.frames.spark_columns import converted_columns, quoted, readable_type, spark_type

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.fs import FileSystem
    from pyspark.sql import DataFrame, SparkSession

_ROWS = 1 << 14
_TASKS = 256
"""The maximal number of tasks. Small files share one."""


def read_spark_csv(
    session: SparkSession, filesystem: FileSystem, files: Sequence[CsvSource], schema: pyarrow.Schema
) -> DataFrame:
    """Open CSV files as one frame. Columns are matched by name. The partition columns come last, as text.

    A job that reads a record with more fields than the header fails. So does a job that reads a partition column with
    other values than the folder.

    Parameters
    ----------
    session
        The Spark session.
    filesystem
        File system of the files, which the workers see. They must have this package.
    files
        The files.
    schema
        The common schema of the files, without the partition columns.
    """
    import pyarrow as pa
    from pyspark.sql import functions as sf
    from pyspark.sql.types import StructField, StructType

    partition = list(files[0].partition)
    # Spark has no rows of the type null. By position: mapInArrow does not accept names with backticks.
    kinds = [*(readable_type(field.type) for field in schema), *(pa.string() for _ in partition)]
    given = pa.schema([(f"f{at}", kind) for at, kind in enumerate(kinds)])

    def rows(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for at in batch.column(0).to_pylist():
                for table in file_tables(filesystem, files[at], schema):
                    yield from table.rename_columns(given.names).cast(given).to_batches(max_chunksize=_ROWS)

    numbers = session.range(len(files), numPartitions=min(_TASKS, len(files)))
    types = StructType([StructField(field.name, spark_type(field.type)) for field in given])
    frame = numbers.mapInArrow(rows, types).toDF(*schema.names, *partition)
    return frame.select(*converted_columns(schema, schema), *(sf.col(quoted(name)) for name in partition))
