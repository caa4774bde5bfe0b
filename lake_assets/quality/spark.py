"""Profiles of Spark frames: the workers profile their partitions, and only their states come to the driver."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

from lake_assets.quality.profile import Profile, merged

if TYPE_CHECKING:
    import pyarrow
    import pyspark.sql


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

        from lake_assets.quality.profiling import profile_batches

        found = profile_batches(schema, (batch.cast(schema) for batch in batches), personal)
        yield pa.record_batch({"state": pa.array([found.to_bytes()], pa.binary())})

    collected = frame.mapInArrow(states, "state binary").collect()
    found = [Profile.from_bytes(bytes(row["state"])) for row in collected]
    if found:
        return merged(found)
    from lake_assets.quality.profiling import profile_batches

    return profile_batches(schema, [], personal)
