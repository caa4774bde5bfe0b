"""Reads ORC files as frames of Spark.

Spark's own reader knows no instants of ORC, and takes times for those of its machine's zone. So PyArrow reads the
files, in Spark's workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from lake_assets.frames.spark_columns import quoted, spark_type

if TYPE_CHECKING:
    import pyarrow
    from pyspark.sql import DataFrame, SparkSession

_CONTENT = "content"


def read_orc(
    session: SparkSession, stored: pyarrow.Schema, uris: Sequence[str], partition: Sequence[str], base: str | None
) -> DataFrame:
    """Open files of one schema as a frame. The partition columns come last, as text.

    Parameters
    ----------
    session
        The Spark session.
    stored
        The schema of the files, in the stored types.
    uris
        The files, or their folders.
    partition
        The partition columns, which Spark reads from the folder names below ``base``.
    base
        URI of the folder that contains several partitions. None for a single folder.
    """
    import pyarrow as pa
    from pyspark.sql import functions as sf
    from pyspark.sql.types import BinaryType, LongType, StringType, StructField, StructType, TimestampType

    # By position: mapInArrow does not accept names with backticks.
    data = [(f"f{at}", field.type) for at, field in enumerate(stored)]
    places = [(f"p{at}", pa.string()) for at in range(len(partition))]
    # Workers of a cluster have no lake_assets.
    schema = pa.schema([*data, *places]).serialize().to_pybytes()

    def rows(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow
        from pyarrow import orc

        wanted = pyarrow.ipc.read_schema(pyarrow.py_buffer(schema))
        for batch in batches:
            for at in range(batch.num_rows):
                file = orc.ORCFile(pyarrow.BufferReader(batch.column(0)[at].as_buffer()))
                for stripe in range(file.nstripes):
                    read = file.read_stripe(stripe)
                    values = [column[at] for column in batch.columns[1:]]
                    columns = [*read.columns, *(pyarrow.repeat(value, read.num_rows) for value in values)]
                    table = pyarrow.Table.from_arrays(columns, names=wanted.names)
                    yield from table.cast(wanted).to_batches(max_chunksize=1 << 16)

    fields = [
        StructField("path", StringType()),
        StructField("modificationTime", TimestampType()),
        StructField("length", LongType()),
        StructField(_CONTENT, BinaryType()),
        *(StructField(name, StringType()) for name in partition),
    ]
    reader = session.read.schema(StructType(fields)).format("binaryFile")
    files = (reader if base is None else reader.option("basePath", base)).load(list(uris))
    given = files.select(sf.col(_CONTENT), *(sf.col(quoted(name)) for name in partition))
    types = StructType([StructField(name, spark_type(kind)) for name, kind in [*data, *places]])
    return given.mapInArrow(rows, types).toDF(*stored.names, *partition)
