"""Profiles of Spark frames: the workers profile their partitions and merge their states. The driver gets a few."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

from lake_assets.quality.profile import Profile, merged

if TYPE_CHECKING:
    import pyarrow
    import pyspark.sql

STATES = 32
"""Number of states that a worker merges to one. A state of 200 columns takes 4 MB."""


def profile_spark(frame: pyspark.sql.DataFrame, personal: Collection[str] = ()) -> Profile:
    """Return the profile of a Spark frame.

    Parameters
    ----------
    frame
        The frame.
    personal
        Names of columns of which no value is kept.
    """
    from pyspark.sql.pandas.types import to_arrow_schema

    schema = to_arrow_schema(frame.schema, timestamp_utc=True)

    def states(batches: Iterable[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
        import pyarrow as pa
        from pyspark import TaskContext

        from lake_assets.quality.profiling import profile_batches

        task = TaskContext.get()
        assert task is not None  # this runs in a task
        found = profile_batches(schema, (batch.cast(schema) for batch in batches), personal)
        group = pa.array([task.partitionId() // STATES], pa.int32())
        yield pa.record_batch({"group": group, "state": pa.array([found.to_bytes()], pa.binary())})

    def merge(group: pyarrow.Table) -> pyarrow.Table:
        import pyarrow as pa

        return pa.table({"state": pa.array([_merged(group["state"].to_pylist()).to_bytes()], pa.binary())})

    found = frame.mapInArrow(states, "group int, state binary").groupBy("group").applyInArrow(merge, "state binary")
    collected = [bytes(row["state"]) for row in found.collect()]
    if collected:
        return _merged(collected)
    from lake_assets.quality.profiling import profile_batches

    return profile_batches(schema, [], personal)


def _merged(states: Iterable[bytes]) -> Profile:
    return merged([Profile.from_bytes(state) for state in states])
