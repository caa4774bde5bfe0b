"""A query that counts: what it reads, what names a count, and how the counts are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow
    from pyspark.sql import DataFrame, SparkSession

    from lake_assets.streaming.position import Position


class StreamSourceError(Exception):
    """A source cannot be read, or is not the one that was read so far."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What a source does not have any more, or has in another form than when it was read.

    Parameters
    ----------
    offsets
        Offsets that were never read and are gone.
    places
        Partitions or files concerned, with what is wrong.
    """

    offsets: int = 0
    places: tuple[str, ...] = ()


class StreamSource(Protocol):
    """What a query reads. Every method raises :class:`StreamSourceError` where the source is not there."""

    @property
    def name(self) -> str:
        """The source as a user names it; holds no credentials."""
        ...

    @property
    def id(self) -> str:
        """What makes it this source and no other of its name; asked anew at every call."""
        ...

    def lines(self, session: SparkSession, *, fail_on_data_loss: bool) -> DataFrame:
        """Return all lines as a stream.

        Columns are ``value`` (binary or string, null for a tombstone), ``timestamp`` and ``text``, which is the value
        without the time in it.
        """
        ...

    def passed_over(self) -> Sequence[str]:
        """Return what of the source is not read, each with the reason and what to do about it."""
        ...

    def all_lines(self, session: SparkSession, position: Position, checkpoint: Path) -> DataFrame:
        """Return the lines up to a position as a frame that is no stream, for a recount."""
        ...

    def loss(self, position: Position, checkpoint: Path) -> Loss:
        """Return what is missing of what comes after a position, or was changed before it."""
        ...


@dataclass(frozen=True)
class StreamQuery:
    """A streaming aggregation whose result is kept whole.

    Parameters
    ----------
    name
        Its name, version and parameters; a checkpoint is good for the same name only.
    key
        Columns that name a row of the result.
    columns
        The result's columns: name to ``VARCHAR``, ``BIGINT`` or ``TIMESTAMPTZ``.
    build
        From the source's lines, and the watermark (ms since 1970) of what was read so far, to the aggregation. What it
        observes is summed and reported.
    source
        What is read.
    fail_on_data_loss
        Whether a source that has lost lines fails the run.
    reset
        Whether to start over: no checkpoint, no counts.
    delay
        Of an event-time query, milliseconds that lines may be late.
    state_store
        Where Spark keeps the state.
    csv
        Whether the counts are kept as CSV, too.
    """

    name: str
    key: Sequence[str]
    columns: Mapping[str, str]
    build: Callable[[DataFrame, int | None], DataFrame]
    source: StreamSource
    fail_on_data_loss: bool = True
    reset: bool = False
    delay: int | None = None
    state_store: str = "hdfs"
    csv: bool = False

    def arrow_schema(self) -> pyarrow.Schema:
        """Return the schema that the result is stored with."""
        import pyarrow

        kinds = {
            "VARCHAR": pyarrow.string(),
            "BIGINT": pyarrow.int64(),
            "TIMESTAMPTZ": pyarrow.timestamp("us", "UTC"),
        }
        return pyarrow.schema([(name, kinds[kind]) for name, kind in self.columns.items()])
