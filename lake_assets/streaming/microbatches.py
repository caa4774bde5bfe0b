"""Running a streaming query until it has processed all available data, and its reported metrics."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lake_assets.spark.session import SHUFFLE_PARTITIONS, is_local, session_conf
from lake_assets.streaming.query import StreamSourceError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from lake_assets.streaming.checkpoint_files import CheckpointFiles

LATEST = "latest"
"""The observed metric that is a maximum and not a sum: the newest event time, in milliseconds since 1970."""

TOO_LONG = "too_long_in"
"""The observed metric that is a list: the places of lines that were too long."""

_CONF = {
    # Keep two batches for recovery. Remove older files at once, not in the background.
    "spark.sql.streaming.minBatchesToRetain": "2",
    "spark.sql.streaming.asyncLogPurge.enabled": "false",
    # Runs are short. Without this, and the maintenance interval of `session_conf`, every run would read all deltas.
    "spark.sql.streaming.stateStore.minDeltasForSnapshot": "5",
    # State of windows that are over is removed with the next lines, not by a micro-batch of its own without any.
    "spark.sql.streaming.noDataMicroBatches.enabled": "false",
    # A UTC timestamp, which other engines also read as one.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
}

STATE_STORES = {
    "hdfs": "org.apache.spark.sql.execution.streaming.state.HDFSBackedStateStoreProvider",
    "rocksdb": "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider",
}


class CheckpointUnusable(Exception):
    """A query cannot continue from its checkpoint."""


@dataclass(frozen=True, slots=True)
class Consumed:
    """The metrics of a query's run.

    Parameters
    ----------
    batches
        Number of micro-batches; 0 if there was nothing new.
    observed
        Sum of each observed metric over all micro-batches. For :data:`LATEST` it is the maximum.
    too_long
        Places of lines that were too long.
    exact
        Whether each line is in the metrics once. One that Spark has read again, since a worker was lost, is in them
        twice, though the query's result has it once.
    """

    batches: int
    observed: Mapping[str, int]
    too_long: Sequence[str] = ()
    exact: bool = True


_FILE_MANAGER = "spark.sql.streaming.checkpointFileManagerClass"
_ON_S3 = "org.apache.spark.internal.io.cloud.AbortableStreamBasedCheckpointFileManager"
"""A file appears there when it is closed, and a rename would be a copy."""
_ON_DISK = "org.apache.spark.sql.execution.streaming.FileSystemBasedCheckpointFileManager"
"""Spark's default asks for each file by Hadoop's FileContext, which starts ten processes for a file (`readlink`)."""


def streaming_session(spark: SparkSession, state_store: str, checkpoint: str = "") -> SparkSession:
    """Return a session for streaming queries. Its settings do not affect other sessions.

    Parameters
    ----------
    spark
        Any session of the application.
    state_store
        ``hdfs`` or ``rocksdb``. An existing checkpoint keeps its own.
    checkpoint
        URI of the checkpoint.
    """
    session = spark.newSession()
    for name, value in _CONF.items():
        session.conf.set(name, value)
    if checkpoint.startswith(("s3a:", "file:")):
        session.conf.set(_FILE_MANAGER, _ON_S3 if checkpoint.startswith("s3a:") else _ON_DISK)
    context = session.sparkContext
    default = session_conf()[SHUFFLE_PARTITIONS]
    if is_local(context.master or "local") and session.conf.get(SHUFFLE_PARTITIONS) == default:
        # For new streams. Each partition has files in every checkpoint, and one machine needs no more than its cores.
        session.conf.set(SHUFFLE_PARTITIONS, min(context.defaultParallelism, int(default)))
    session.conf.set("spark.sql.streaming.stateStore.providerClass", STATE_STORES[state_store])
    return session


def consume(
    frame: DataFrame, checkpoint: CheckpointFiles, batch: Callable[[DataFrame, int], None], after: int
) -> Consumed:
    """Run a query over all new data, in update mode, and wait for its end.

    Parameters
    ----------
    frame
        The streaming query.
    checkpoint
        The checkpoint.
    batch
        Called with the changed rows of a micro-batch, and with its number.
    after
        Number of the last micro-batch whose metrics were counted already. A repeated micro-batch is not counted again.

    Raises
    ------
    CheckpointUnusable
        The checkpoint belongs to another query.
    StreamSourceError
        The source does not answer.
    pyspark.errors.StreamingQueryException
        The query failed.
    """
    from pyspark.errors import StreamingQueryException

    query = (
        frame.writeStream.outputMode("update")
        .option("checkpointLocation", checkpoint.uri)
        .trigger(availableNow=True)
        .foreachBatch(batch)
        .start()
    )
    try:
        query.awaitTermination()
    except StreamingQueryException as error:
        if any(sign in str(error) for sign in _INCOMPATIBLE):
            raise CheckpointUnusable(str(error).partition("\n")[0]) from error
        if (unavailable := _UNAVAILABLE.search(str(error))) is not None:
            raise StreamSourceError(
                f"the source stopped answering: {unavailable[0]}; run again when it is available"
            ) from error
        raise
    finally:
        query.stop()
    batches = 0
    observed: dict[str, int] = {}
    too_long: set[str] = set()
    for progress in query.recentProgress:
        document = json.loads(progress.json)
        if "addBatch" not in document["durationMs"]:
            continue  # There were no new data.
        batches += 1
        if document["batchId"] <= after:
            continue
        for metrics in document.get("observedMetrics", {}).values():
            for name, value in metrics.items():
                if name == TOO_LONG:
                    too_long.update(value or ())
                elif value is not None and name == LATEST:
                    observed[name] = max(observed.get(name, value), value)
                elif value is not None:
                    observed[name] = observed.get(name, 0) + value
    return Consumed(batches, observed, sorted(too_long), not _ran_tasks_again(frame.sparkSession, str(query.runId)))


def _ran_tasks_again(session: SparkSession, group: str) -> bool:
    """Tell whether tasks of a query that had succeeded were run again: Spark adds what both have observed.

    That happens where the worker that keeps a task's output is lost.
    """
    context = session.sparkContext
    if is_local(context.master or "local"):
        return False
    # Spark notes what becomes of tasks a moment later. It has no public API for waiting until it has.
    java: Any = context._jsc  # pyright: ignore[reportPrivateUsage]
    java.sc().listenerBus().waitUntilEmpty()
    tracker = context.statusTracker()
    jobs = filter(None, map(tracker.getJobInfo, tracker.getJobIdsForGroup(group)))
    stages = filter(None, (tracker.getStageInfo(stage) for job in jobs for stage in job.stageIds))
    return any(stage.currentAttemptId > 0 or stage.numCompletedTasks > stage.numTasks for stage in stages)


_INCOMPATIBLE = (
    "STATE_STORE_KEY_SCHEMA_NOT_COMPATIBLE",
    "STATE_STORE_VALUE_SCHEMA_NOT_COMPATIBLE",
    "STATE_STORE_SCHEMA",
    "StateSchemaNotCompatible",
    "state schema",
)

_UNAVAILABLE = re.compile(
    r"org\.apache\.kafka\.common\.errors\.TimeoutException.*|TimeoutException: Cannot fetch record.*"
)
