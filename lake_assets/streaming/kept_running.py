"""A streaming query that is kept running: its checkpoint in a folder, its progress, and how it is stopped."""

from __future__ import annotations

import fcntl
import hashlib
import json
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lake_assets.streaming.microbatches import topic_offsets
from lake_assets.streaming.outputs import Files, Mode, Output

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

FINISHING, STOPPING = 4.0, 3.0
"""Seconds that a micro-batch under way is given to finish, and that Spark is given to drop it."""


class CheckpointTaken(Exception):
    """A checkpoint is in use, or is of another query."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a checkpoint is of; it is good for nothing else.

    Parameters
    ----------
    query
        Name, version and parameters of the query.
    source, source_id
        What is read, and what makes it this one and no other of its name.
    output, mode
        What is written to, and how.
    """

    query: str
    source: str
    source_id: str
    output: str
    mode: str

    @property
    def folder(self) -> str:
        """Name of a folder for it, the same for a source that was made anew: which then is told from the old one."""
        known = (self.query, self.source, self.output, self.mode)
        return hashlib.sha256("\n".join(known).encode()).hexdigest()[:16]


@contextmanager
def held(checkpoint: Path, identity: Identity, output: Output) -> Generator[None]:
    """Hold the folder of a checkpoint, which no other process may use.

    Raises
    ------
    CheckpointTaken
        One does; or it is of another query; or the output has rows of which a new checkpoint knows nothing.
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
                    f"{output.folder} has the output of another checkpoint than {checkpoint}, which is new: give the "
                    "one that belongs to it, or another folder"
                ) from None
            note.write_text(json.dumps(wanted, indent=1) + "\n")
        else:
            differs = [
                f"{name} {known[name]!r}, not {value!r}" for name, value in wanted.items() if known[name] != value
            ]
            if differs:
                raise CheckpointTaken(
                    f"the checkpoint {checkpoint} is of {'; of '.join(differs)}: give another folder as --checkpoint, "
                    "or delete it to start over"
                )
        yield


@dataclass(frozen=True, slots=True)
class Progress:
    """One micro-batch that is done.

    Parameters
    ----------
    batch
        Its number.
    rows, rows_per_second
        What it read, and how quickly.
    seconds
        How long it took.
    offsets
        Per partition of a topic the offset that is read next; of a folder nothing.
    late
        Rows of the aggregation that came behind the watermark and were dropped.
    """

    batch: int
    rows: int
    rows_per_second: float
    seconds: float
    offsets: Mapping[str, int]
    late: int


def start(
    rows: DataFrame,
    output: Output,
    mode: Mode,
    checkpoint: Path,
    trigger: float,
    told: Callable[[Progress], None],
) -> StreamingQuery:
    """Start a query.

    Parameters
    ----------
    rows
        What it puts out; of a session that is used for nothing else.
    trigger
        Seconds from one micro-batch's beginning to the next's; 0 for at once.
    told
        Called after every micro-batch that had anything to do, from another thread.
    """
    session = rows.sparkSession
    session.conf.set("spark.sql.streaming.stopTimeout", str(round(STOPPING * 1000)))
    session.streams.addListener(_listener(told))
    writer = output.writer(rows, mode).option("checkpointLocation", f"file://{checkpoint}")
    return writer.trigger(processingTime=f"{round(trigger * 1000)} milliseconds").start()


def stop(query: StreamingQuery, session: SparkSession) -> None:
    """Stop a query, then Spark: the micro-batch under way is finished where that is quick, else run again next time."""
    until = time.monotonic() + FINISHING
    # Spark tells of the end of a micro-batch only when it is asked.
    while query.isActive and query.status["isTriggerActive"] and time.monotonic() < until:
        time.sleep(0.05)
    # What Spark says of a micro-batch that is dropped is no news.
    session.sparkContext.setLogLevel("OFF")
    query.stop()
    session.stop()


def _listener(told: Callable[[Progress], None]) -> Any:
    # The class is made here: pyspark is loaded where it is used.
    from pyspark.sql.streaming.listener import StreamingQueryListener

    class Listener(StreamingQueryListener):
        def onQueryStarted(self, event: Any) -> None:
            del event

        def onQueryProgress(self, event: Any) -> None:
            document = json.loads(event.progress.json)
            if "addBatch" in document["durationMs"]:
                told(_progress(document))

        def onQueryTerminated(self, event: Any) -> None:
            del event

    return Listener()


def _progress(told: Mapping[str, Any]) -> Progress:
    (source,) = told["sources"]
    end = source["endOffset"]
    return Progress(
        told["batchId"],
        told["numInputRows"],
        float(told.get("processedRowsPerSecond", 0.0)),
        told["batchDuration"] / 1000,
        topic_offsets(json.loads(end) if isinstance(end, str) else end),
        sum(operator["numRowsDroppedByWatermark"] for operator in told["stateOperators"]),
    )
