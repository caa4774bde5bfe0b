"""How far a stream has been read: one small file, in the same commit as what was read and the checkpoint."""

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
    """How far a stream has been read, from what, and by which query.

    Parameters
    ----------
    query
        Name, version and parameters of the query: what its checkpoint can go on with.
    source
        The source as a user names it; holds no credentials.
    source_id
        What makes the source this one and no other of its name: Kafka's topic id, or the folder.
    batch
        Number of the checkpoint's last micro-batch; -1 where nothing was ever read.
    offsets
        Per partition of a topic the offset that is read next; of a folder nothing.
    last
        What the last run that read something counted, by name: ``lines``, ``words``, ``lost_offsets``, …
    totals
        The same of all runs of this checkpoint.
    watermark
        Of an event-time query, the time behind which lines are late, in milliseconds since 1970; else None.
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
        """Return what a commit's metadata tell of it."""
        told = {
            "stream/query": self.query,
            "stream/source": self.source,
            "stream/source_id": self.source_id,
            "stream/batch": str(self.batch),
            **{f"stream/{name}": str(value) for name, value in self.last.items()},
        }
        if self.offsets:
            told["stream/offsets"] = json.dumps(dict(self.offsets))
        return told


def write_position(write: Write, path: str, position: Position) -> None:
    """Put it into a write, as the file at a path."""
    with write.filesystem.open_output_stream(write.place(path)) as stream:
        stream.write((json.dumps(asdict(position), indent=1) + "\n").encode())


def read_position(lake: Lake, ref: str, prefix: str) -> Position | None:
    """Return how far the stream at a prefix has been read as a ref holds it; None where it never was."""
    try:
        snapshot = lake.path(ref, places_at(lake, ref, prefix).position)
    except PathNotFound:
        return None
    with snapshot.filesystem.open_input_stream(snapshot.root) as stream:
        return Position(**json.loads(stream.readall()))
