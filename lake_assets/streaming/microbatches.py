"""A streaming query run to the end of what there is, and what it said of itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lake_assets.streaming.query import StreamSourceError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

LATEST = "latest"
"""Of what a query observes, the one that is no sum: the newest event time, in milliseconds since 1970."""

_CONF = {
    # Two batches can be gone back from; what is older is removed, at once and not in the background.
    "spark.sql.streaming.minBatchesToRetain": "2",
    "spark.sql.streaming.asyncLogPurge.enabled": "false",
    # Runs are short: without this, deltas would pile up, and every run would read all of them.
    "spark.sql.streaming.stateStore.maintenanceInterval": "1s",
    "spark.sql.streaming.stateStore.minDeltasForSnapshot": "5",
    # A moment, which other engines read as one, too.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
}

STATE_STORES = {
    "hdfs": "org.apache.spark.sql.execution.streaming.state.HDFSBackedStateStoreProvider",
    "rocksdb": "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider",
}


class CheckpointUnusable(Exception):
    """A query cannot go on from its checkpoint."""


@dataclass(frozen=True, slots=True)
class Consumed:
    """What a run of a query consumed.

    Parameters
    ----------
    batches
        Micro-batches that were run; 0 where there was nothing new.
    observed
        Sums of what the query observed; of :data:`LATEST` the greatest.
    """

    batches: int
    observed: Mapping[str, int]


def streaming_session(spark: SparkSession, state_store: str) -> SparkSession:
    """Return a session for streaming queries, whose settings touch no other one.

    Parameters
    ----------
    state_store
        ``hdfs`` or ``rocksdb``; a checkpoint that was made with one stays with it.
    """
    session = spark.newSession()
    for name, value in _CONF.items():
        session.conf.set(name, value)
    session.conf.set("spark.sql.streaming.stateStore.providerClass", STATE_STORES[state_store])
    return session


def consume(frame: DataFrame, checkpoint: Path, batch: Callable[[DataFrame, int], None], after: int) -> Consumed:
    """Run a query over all that is new, in update mode, and return when it has ended.

    Parameters
    ----------
    frame
        The streaming query.
    checkpoint
        Its folder.
    batch
        Called with the rows that a micro-batch changed, and its number.
    after
        Number of the last micro-batch whose observations were summed: one that is run once more counts no second time.

    Raises
    ------
    CheckpointUnusable
        The checkpoint is of another query.
    StreamSourceError
        The source does not answer.
    pyspark.errors.StreamingQueryException
        It failed.
    """
    from pyspark.errors import StreamingQueryException

    query = (
        frame.writeStream.outputMode("update")
        .option("checkpointLocation", f"file://{checkpoint}")
        .trigger(availableNow=True)
        .foreachBatch(batch)
        .start()
    )
    try:
        query.awaitTermination()
    except StreamingQueryException as error:
        if any(sign in str(error) for sign in _INCOMPATIBLE):
            raise CheckpointUnusable(str(error).partition("\n")[0]) from error
        if (away := _AWAY.search(str(error))) is not None:
            raise StreamSourceError(
                f"the source does not answer any more: {away[0]}; run it again when it does"
            ) from error
        raise
    finally:
        query.stop()
    batches = 0
    observed: dict[str, int] = {}
    for progress in query.recentProgress:
        told = json.loads(progress.json)
        if "addBatch" not in told["durationMs"]:
            continue  # Nothing was new.
        batches += 1
        if told["batchId"] <= after:
            continue
        for seen in told.get("observedMetrics", {}).values():
            for name, value in seen.items():
                if value is not None and name == LATEST:
                    observed[name] = max(observed.get(name, value), value)
                elif value is not None:
                    observed[name] = observed.get(name, 0) + value
    return Consumed(batches, observed)


_INCOMPATIBLE = (
    "STATE_STORE_KEY_SCHEMA_NOT_COMPATIBLE",
    "STATE_STORE_VALUE_SCHEMA_NOT_COMPATIBLE",
    "STATE_STORE_SCHEMA",
    "StateSchemaNotCompatible",
    "state schema",
)

_AWAY = re.compile(r"org\.apache\.kafka\.common\.errors\.TimeoutException.*|TimeoutException: Cannot fetch record.*")


def last_batch(checkpoint: Path) -> int:
    """Return the number of the last micro-batch that was committed; -1 for none."""
    numbers = [int(path.name) for path in (checkpoint / "commits").glob("[0-9]*") if path.name.isdigit()]
    return max(numbers, default=-1)


def offsets(checkpoint: Path) -> Mapping[str, int]:
    """Return the offset that follows the last micro-batch, per partition of a topic; of a folder nothing."""
    number = last_batch(checkpoint)
    if number < 0:
        return {}
    return topic_offsets(json.loads((checkpoint / "offsets" / str(number)).read_text().splitlines()[2]))


def topic_offsets(place: Any) -> Mapping[str, int]:
    """Return the offsets of the one topic that a place in a stream is of.

    A folder's place is the number of a listing, which says nothing: it has no topic.
    """
    topics = [parts for parts in place.values() if isinstance(parts, dict)] if isinstance(place, dict) else []
    return topics[0] if topics else {}
