"""How places of the lake are written on the command line: ``REF:ASSET``, or ``lake://COMMIT/PREFIX``.

An asset is written as Dagster shows it (``sales/daily``), a partition's folder or key, or a file, behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import typer

from lake_assets.cli.code_location import load_graph
from lake_assets.layout.asset_folders import components_of, folder_of, key_of_prefix
from lake_assets.streaming.places import places_at

if TYPE_CHECKING:
    from lake_assets.lake.contract import Lake

URI = "lake://"


class Place(NamedTuple):
    """A prefix as a ref holds it; the empty prefix is the whole lake."""

    ref: str
    prefix: str
    literal: bool = False
    """Whether it is written as a path of the lake, and not as an asset."""

    def path(self, lake: Lake) -> str:
        """Return the path in the lake."""
        return self.prefix if self.literal or not self.prefix else path_of(lake, self.prefix, self.ref)

    def rows(self, lake: Lake) -> str:
        """Return the path of the rows: commits of format 1 keep those of a stream in a folder of its prefix."""
        return places_at(lake, self.ref, self.path(lake)).counts


def parse_place(text: str, *, whole: bool = False) -> Place:
    """Read a place.

    Parameters
    ----------
    text
        What the user wrote.
    whole
        Whether a ref alone will do, for all it holds.

    Raises
    ------
    typer.BadParameter
        It is none.
    """
    if text.startswith(URI):
        ref, slash, prefix = text.removeprefix(URI).partition("/")
        separated, literal = bool(slash), True
    else:
        ref, colon, prefix = text.partition(":")
        separated, literal = bool(colon), False
    if not ref or prefix.startswith("/") or not (separated or whole):
        wanted = "REF, REF:PREFIX" if whole else "REF:PREFIX"
        raise typer.BadParameter(
            f"{text!r} is no place of the lake: write {wanted} or lake://COMMIT/PREFIX, such as main:stocks_parquet"
        )
    return Place(ref, prefix.removesuffix("/"), literal)


def path_of(lake: Lake, text: str, *refs: str) -> str:
    """Return the path in the lake that a user means.

    Of several assets that the text may begin with, the one with the longest key that any of the refs holds is meant;
    where there is none, the text is a path of the lake itself.
    """
    parts = components_of(text.strip("/"))
    for length in range(len(parts), 0, -1):
        folder, below = folder_of(parts[:length]), "/".join(parts[length:])
        if _is_there(lake, refs, folder):
            path = f"{folder}/{below}" if below else folder
            return path if _is_there(lake, refs, path) else _partition(folder, below) or path
    return text.strip("/")


def _is_there(lake: Lake, refs: Sequence[str], path: str) -> bool:
    return any(next(lake.list(ref, path), None) is not None for ref in refs)


def _partition(folder: str, key: str) -> str | None:
    """Return the folder of a partition that is written by its key."""
    from dagster import DagsterError

    from lake_assets.layout.partitions import folders

    graph, asset = load_graph(), key_of_prefix(folder)
    definition = graph.get(asset).partitions_def if asset is not None and graph.has(asset) else None
    if definition is None:
        return None
    try:
        return f"{folder}/{folders(definition, [key])[key]}"
    except (DagsterError, ValueError, KeyError):
        return None  # It is none of its keys.
