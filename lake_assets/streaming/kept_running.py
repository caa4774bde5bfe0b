"""A streaming query that runs until it is stopped: its checkpoint folder, its progress, and how it is stopped."""

from __future__ import annotations

import fcntl
import hashlib
import json
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lake_assets.spark.stopping import stop as stop_session
from lake_assets.streaming.checkpoint_files import topic_offsets
from lake_assets.streaming.microbatches import TOO_LONG
from lake_assets.streaming.outputs import Files, Mode, Output

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

FINISHING, STOPPING = 4.0, 3.0
"""Seconds for a running micro-batch to finish, and then for Spark to cancel it."""


class CheckpointTaken(Exception):
    """A checkpoint is in use, or belongs to another query."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The query that a checkpoint belongs to. A checkpoint cannot be used for another one.

    Parameters
    ----------
    query
        Name, version and parameters of the query.
    source, source_id
        Name of the source, and an id that distinguishes it from another source of the same name.
    output, mode
        Name of the output, and the output mode.
    """

    query: str
    source: str
    source_id: str
    output: str
    mode: str

    @property
    def folder(self) -> str:
        """Name of the checkpoint's folder. It does not depend on ``source_id``, so a recreated source is detected."""
        known = (self.query, self.source, self.output, self.mode)
        return hashlib.sha256("\n".join(known).encode()).hexdigest()[:16]


@contextmanager
def held(checkpoint: Path, identity: Identity, output: Output) -> Generator[None]:
    """Lock the folder of a checkpoint for this process.

    Parameters
    ----------
    checkpoint
        The folder.
    identity
        The query that will use it.
    output
        The query's output.

    Raises
    ------
    CheckpointTaken
        Another process uses the checkpoint, it belongs to another query, or it is new and the output already has rows.
    """
    checkpoint.mkdir(parents=True, exist_ok=True)
    note = checkpoint / "identity.json"
    with (checkpoint / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CheckpointTaken(f"another process uses the checkpoint {checkpoint}") from error
        wanted = asdict(identity)
        try:
            known = json.loads(note.read_text())
        except FileNotFoundError:
            if isinstance(output, Files) and output.holds_any():
                raise CheckpointTaken(
                    f"{output.folder} has output already, but the checkpoint {checkpoint} is new: give the checkpoint "
                    "that belongs to this output, or another output folder"
                ) from None
            note.write_text(json.dumps(wanted, indent=1) + "\n")
        else:
            differs = [
                f"{name} {known[name]!r}, not {value!r}" for name, value in wanted.items() if known[name] != value
            ]
            if differs:
                raise CheckpointTaken(
                    f"the checkpoint {checkpoint} belongs to {'; '.join(differs)}: give another folder as "
                    "--checkpoint, or delete it to start over"
                )
        yield


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a query after a micro-batch.

    Parameters
    ----------
    batch
        Number of the micro-batch.
    rows, rows_per_second
        Rows read, and the rate.
    seconds
        Duration of the micro-batch.
    offsets
        Next offset to read by partition of a topic. Empty for a folder.
    late
        Number of rows of the aggregation that were dropped because they were behind the watermark.
    too_long
        Places of lines that were too long.
    """

    batch: int
    rows: int
    rows_per_second: float
    seconds: float
    offsets: Mapping[str, int]
    late: int
    too_long: Sequence[str] = ()


def start(
    rows: DataFrame,
    output: Output,
    *,
    mode: Mode,
    checkpoint: Path,
    trigger: float,
    on_progress: Callable[[Progress], None],
) -> StreamingQuery:
    """Start a query.

    Parameters
    ----------
    rows
        The result of the query. Its session must not be used for anything else.
    output, mode
        The output, and the output mode.
    checkpoint
        Folder of the checkpoint.
    trigger
        Seconds between the starts of two micro-batches. 0 starts the next one at once.
    on_progress
        Called after every micro-batch that processed data, from another thread.
    """
    session = rows.sparkSession
    session.conf.set("spark.sql.streaming.stopTimeout", str(round(STOPPING * 1000)))
    # In append mode the rows of a window come out when it is final, not when the next lines come.
    session.conf.set("spark.sql.streaming.noDataMicroBatches.enabled", "true" if mode is Mode.APPEND else "false")
    session.streams.addListener(_listener(on_progress))
    writer = output.writer(rows, mode).option("checkpointLocation", f"file://{checkpoint}")
    return writer.trigger(processingTime=f"{round(trigger * 1000)} milliseconds").start()


def stop(query: StreamingQuery, session: SparkSession) -> None:
    """Stop a query, then Spark. A running micro-batch is finished if it is fast. Otherwise it is repeated next time.

    Parameters
    ----------
    query
        The query.
    session
        Its session.
    """
    deadline = time.monotonic() + FINISHING
    # Spark has no callback for the end of a micro-batch.
    while query.isActive and query.status["isTriggerActive"] and time.monotonic() < deadline:
        time.sleep(0.05)
    # Spark logs errors about a cancelled micro-batch, which are expected.
    session.sparkContext.setLogLevel("OFF")
    query.stop()
    stop_session(session)


def _listener(on_progress: Callable[[Progress], None]) -> Any:
    # The class is defined here, so that pyspark is imported only when it is used.
    from pyspark.sql.streaming.listener import StreamingQueryListener

    class Listener(StreamingQueryListener):
        def onQueryStarted(self, event: Any) -> None:
            del event

        def onQueryProgress(self, event: Any) -> None:
            document = json.loads(event.progress.json)
            if "addBatch" in document["durationMs"]:
                on_progress(_progress(document))

        def onQueryTerminated(self, event: Any) -> None:
            del event

    return Listener()


def _progress(document: Mapping[str, Any]) -> Progress:
    (source,) = document["sources"]
    end = source["endOffset"]
    observed = document.get("observedMetrics", {}).get("lines", {})
    # A stream of files has a row for each file.
    rows = observed.get("lines", document["numInputRows"])
    seconds = document["batchDuration"] / 1000
    return Progress(
        document["batchId"],
        rows,
        rows / seconds if seconds else 0.0,
        seconds,
        topic_offsets(json.loads(end) if isinstance(end, str) else end),
        sum(operator["numRowsDroppedByWatermark"] for operator in document["stateOperators"]),
        observed.get(TOO_LONG) or (),
    )
