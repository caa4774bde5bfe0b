"""The position of a stream: a small file in the same commit as the rows and the checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from lake_assets.lake.errors import PathNotFound
from lake_assets.streaming.places import places_at

if TYPE_CHECKING:
    from lake_assets.lake.contract import Lake, Write


@dataclass(frozen=True, slots=True)
class Position:
    """The position up to which a query has read a source.

    Parameters
    ----------
    query
        Name, version and parameters of the query. The checkpoint belongs to this query.
    source
        Name of the source for users. It contains no credentials.
    source_id
        Id that distinguishes the source from another one of the same name: Kafka's topic id, or the folder.
    batch
        Number of the checkpoint's last micro-batch. It is -1 if nothing was ever read.
    offsets
        Next offset to read by partition of a topic. Empty for a folder.
    last
        Counts of the last run that read data, by name: ``lines``, ``words``, ``lost_offsets``, …
    totals
        The same counts, summed over all runs of this checkpoint.
    watermark
        Time before which lines are late, in milliseconds since 1970. None if the query does not use event time.
    """

    query: str
    source: str
    source_id: str
    batch: int
    offsets: Mapping[str, int]
    last: Mapping[str, int]
    totals: Mapping[str, int]
    watermark: int | None = None

    def metadata(self) -> dict[str, str]:
        """Return the position as commit metadata."""
        metadata = {
            "stream/query": self.query,
            "stream/source": self.source,
            "stream/source_id": self.source_id,
            "stream/batch": str(self.batch),
            **{f"stream/{name}": str(value) for name, value in self.last.items()},
        }
        if self.offsets:
            metadata["stream/offsets"] = json.dumps(dict(self.offsets))
        return metadata


def write_position(write: Write, path: str, position: Position) -> None:
    """Add a position's file to a write.

    Parameters
    ----------
    write
        The write.
    path
        Path of the file in the lake.
    position
        The position.
    """
    with write.filesystem.open_output_stream(write.place(path)) as stream:
        stream.write((json.dumps(asdict(position), indent=1) + "\n").encode())


def read_position(lake: Lake, ref: str, prefix: str) -> Position | None:
    """Return the position of a stream in a ref, or None if it was never read.

    Parameters
    ----------
    lake, ref, prefix
        Where the stream is.
    """
    try:
        snapshot = lake.path(ref, places_at(lake, ref, prefix).position)
    except PathNotFound:
        return None
    with snapshot.filesystem.open_input_stream(snapshot.root) as stream:
        return Position(**json.loads(stream.readall()))
