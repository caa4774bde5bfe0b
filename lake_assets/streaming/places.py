"""Where a stream lies in the lake: its rows at its prefix, and beside it what the next run goes on from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lake_assets.lake.names import beside

if TYPE_CHECKING:
    from lake_assets.lake.contract import Lake


class StreamPlaces(NamedTuple):
    """Folders of a stream.

    Parameters
    ----------
    counts
        All rows, as Parquet.
    changes
        The rows that the last run changed, as Parquet.
    checkpoint
        Spark's.
    csv
        All rows as CSV, where they are wanted so.
    position
        The file that says how far the source was read.
    """

    counts: str
    changes: str
    checkpoint: str
    csv: str
    position: str


def places_of(prefix: str) -> StreamPlaces:
    """Return where the stream of a prefix is written."""
    folder = beside(prefix)
    return StreamPlaces(prefix, f"{folder}/changes", f"{folder}/checkpoint", f"{folder}/csv", f"{folder}/position.json")


def places_at(lake: Lake, ref: str, prefix: str) -> StreamPlaces:
    """Return where a ref holds the stream of a prefix: in commits of format 1, all of it at the prefix."""
    position = f"{prefix}/position.json"
    if next(lake.list(ref, position), None) is None:
        return places_of(prefix)
    return StreamPlaces(f"{prefix}/counts", f"{prefix}/changes", f"{prefix}/checkpoint", f"{prefix}/csv", position)


def moved(path: str, prefix: str) -> str:
    """Return where a file of a stream lies now that lay at its prefix, or below it, in format 1."""
    below = path[len(prefix) + 1 :]
    top = below.partition("/")[0]
    if top == "counts":
        return f"{prefix}{below[len(top) :]}"
    return f"{beside(prefix)}/{below}" if top in ("changes", "checkpoint", "csv", "position.json") else path
