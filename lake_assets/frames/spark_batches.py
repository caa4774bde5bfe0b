"""Fetches the rows of Spark's frames, in batches of the stored types."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from lake_assets.frames.conform import conform
from lake_assets.frames.stored_types import RefusedColumn, refuse_repeated, stored_schema

if TYPE_CHECKING:
    import pyarrow
    from pyspark.sql import DataFrame


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
