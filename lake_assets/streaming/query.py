"""A streaming aggregation: its source, its key and its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lake_assets.text.masking import mask
from lake_assets.text.printable import printable

if TYPE_CHECKING:
    import pyarrow
    from pyspark.sql import DataFrame, SparkSession

    from lake_assets.streaming.checkpoint_files import CheckpointFiles
    from lake_assets.streaming.position import Position


FEW_BYTES, FEW_RECORDS = 1 << 18, 1000
"""What Spark reads sooner than it generates code for reading it."""


class StreamSourceError(Exception):
    """A source cannot be read, or is not the source that was read before.

    Parameters
    ----------
    reason
        The message. Secrets in it are masked, and control characters escaped.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(printable(mask(reason)))


@dataclass(frozen=True, slots=True)
class Loss:
    """Data that a source has lost or changed.

    Parameters
    ----------
    offsets
        Number of offsets that were removed before they were read.
    places
        Affected partitions or files, each with a description of the problem.
    """

    offsets: int = 0
    places: tuple[str, ...] = ()


class StreamSource(Protocol):
    """The source of a query. Every method raises :class:`StreamSourceError` if the source is not available."""

    @property
    def name(self) -> str:
        """Name of the source for users. It contains no credentials."""
        ...

    @property
    def id(self) -> str:
        """Id that distinguishes the source from another one of the same name. It is read from the source each time."""
        ...

    def lines(
        self, session: SparkSession, *, fail_on_data_loss: bool, notes: CheckpointFiles | None = None
    ) -> DataFrame:
        """Return all lines as a stream.

        The columns are ``value`` (binary or string, null for a tombstone), ``timestamp``, ``text``, which is the value
        without its time, and ``too_long``. That names the place of a line that is too long, whose value and text are
        null, and is null for all others.

        Parameters
        ----------
        session
            The Spark session.
        fail_on_data_loss
            Whether the stream fails if the source has lost lines.
        notes
            A folder that nobody else uses, where a source can leave what Spark reads. It is on the checkpoint's file
            system, as Spark needs it. Without one, the source takes a temporary folder.
        """
        ...

    def look_again(self) -> None:
        """Look for what is new, for a stream that goes on."""
        ...

    def little_is_new(self, before: Position | None, checkpoint: CheckpointFiles) -> bool:
        """Tell whether the lines that :meth:`lines` would read are few: :data:`FEW_BYTES`, or :data:`FEW_RECORDS`.

        Parameters
        ----------
        before
            The position up to which the source was read; None if it was not.
        checkpoint
            The checkpoint of that position.
        """
        ...

    def passed_over(self) -> Sequence[str]:
        """Describe the parts of the source that are not read, each with reason and remedy."""
        ...

    def all_lines(self, session: SparkSession, position: Position, checkpoint: CheckpointFiles) -> DataFrame:
        """Return the lines up to a position as a batch frame, for a recount.

        Parameters
        ----------
        session
            The Spark session.
        position
            The position.
        checkpoint
            The checkpoint of that position.
        """
        ...

    def loss(self, position: Position, checkpoint: CheckpointFiles) -> Loss:
        """Return data that are lost after a position, or were changed before it.

        Parameters
        ----------
        position
            The position.
        checkpoint
            The checkpoint of that position.
        """
        ...


@dataclass(frozen=True)
class StreamQuery:
    """A streaming aggregation whose complete result is stored.

    Parameters
    ----------
    name
        Name, version and parameters of the query. A checkpoint can only be used with the same name.
    key
        Key columns of the result.
    columns
        All columns of the result: name to ``VARCHAR``, ``BIGINT`` or ``TIMESTAMPTZ``.
    build
        Builds the aggregation from the source's lines and the current watermark (ms since 1970). Its observed metrics
        are summed and reported.
    source
        The source.
    fail_on_data_loss
        Whether the run fails if the source has lost lines.
    reset
        Whether to start over, without checkpoint and counts.
    delay
        Milliseconds by which lines may be late. None if the query does not use event time.
    state_store
        Spark's state store: ``hdfs`` or ``rocksdb``.
    csv
        Whether to store the counts as CSV, too.
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
        """Return the schema of the stored result."""
        import pyarrow

        kinds = {
            "VARCHAR": pyarrow.string(),
            "BIGINT": pyarrow.int64(),
            "TIMESTAMPTZ": pyarrow.timestamp("us", "UTC"),
        }
        return pyarrow.schema([(name, kinds[kind]) for name, kind in self.columns.items()])
