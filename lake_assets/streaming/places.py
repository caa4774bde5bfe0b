"""The paths of a stream in the lake: its rows at its prefix, and beside it the state for the next run."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lake_assets.lake.names import beside

if TYPE_CHECKING:
    from lake_assets.lake.contract import Lake


class StreamPlaces(NamedTuple):
    """The paths of a stream.

    Parameters
    ----------
    counts
        Folder of all rows, as Parquet.
    changes
        Folder of the rows that the last run changed, as Parquet.
    checkpoint
        Folder of Spark's checkpoint.
    csv
        Folder of all rows as CSV, if this is configured.
    position
        File with the position up to which the source was read.
    """

    counts: str
    changes: str
    checkpoint: str
    csv: str
    position: str


def places_of(prefix: str) -> StreamPlaces:
    """Return the paths to which the stream of a prefix is written."""
    folder = beside(prefix)
    return StreamPlaces(prefix, f"{folder}/changes", f"{folder}/checkpoint", f"{folder}/csv", f"{folder}/position.json")


def places_at(lake: Lake, ref: str, prefix: str) -> StreamPlaces:
    """Return the paths of a stream in a ref. In commits of format 1 all of them are below the prefix.

    Parameters
    ----------
    lake, ref, prefix
        Where the stream is.
    """
    position = f"{prefix}/position.json"
    if next(lake.list(ref, position), None) is None:
        return places_of(prefix)
    return StreamPlaces(f"{prefix}/counts", f"{prefix}/changes", f"{prefix}/checkpoint", f"{prefix}/csv", position)


def moved(path: str, prefix: str) -> str:
    """Return the current path of a stream's file that was below its prefix in format 1.

    Parameters
    ----------
    path
        The path in format 1.
    prefix
        The stream's prefix.
    """
    below = path[len(prefix) + 1 :]
    top = below.partition("/")[0]
    if top == "counts":
        return f"{prefix}{below[len(top) :]}"
    return f"{beside(prefix)}/{below}" if top in ("changes", "checkpoint", "csv", "position.json") else path
