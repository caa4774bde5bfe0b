"""The syntax of places in the lake on the command line: ``REF:ASSET``, or ``lake://COMMIT/PREFIX``.

An asset is written as Dagster shows it (``sales/daily``). A partition's folder or key, or a file, may follow.
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
    """A prefix in a ref. The empty prefix is the whole lake."""

    ref: str
    prefix: str
    literal: bool = False
    """Whether the prefix is a path of the lake and not an asset."""

    def path(self, lake: Lake) -> str:
        """Return the path in the lake."""
        return self.prefix if self.literal or not self.prefix else path_of(lake, self.prefix, self.ref)

    def rows(self, lake: Lake) -> str:
        """Return the path of the rows. In commits of format 1, a stream's rows are in a subfolder of its prefix."""
        return places_at(lake, self.ref, self.path(lake)).counts


def parse_place(text: str, *, whole: bool = False) -> Place:
    """Parse a place.

    Parameters
    ----------
    text
        The user's input.
    whole
        Whether a ref without a prefix is allowed, which stands for the whole lake.

    Raises
    ------
    typer.BadParameter
        It is not a valid place.
    """
    if text.startswith(URI):
        ref, slash, prefix = text.removeprefix(URI).partition("/")
        separated, literal = bool(slash), True
    else:
        ref, colon, prefix = text.partition(":")
        separated, literal = bool(colon), False
    if not ref or prefix.startswith("/") or not (whole or (separated and prefix)):
        wanted = "REF, REF:PREFIX" if whole else "REF:PREFIX"
        raise typer.BadParameter(
            f"{text!r} is not a place in the lake: write {wanted} or lake://COMMIT/PREFIX, such as main:stocks_parquet"
        )
    return Place(ref, prefix.removesuffix("/"), literal)


def path_of(lake: Lake, text: str, *refs: str) -> str:
    """Return the path in the lake for a user's input.

    The input may begin with the key of an asset. If several keys match, the longest one that exists in any of the refs
    is used. If there is none, the input is a path of the lake.

    Parameters
    ----------
    lake
        The lake.
    text
        The user's input.
    refs
        The refs in which to look.
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
    """Return the folder of a partition by its key, or None if the asset has no such partition."""
    from dagster import DagsterError

    from lake_assets.layout.partitions import folders

    graph, asset = load_graph(), key_of_prefix(folder)
    definition = graph.get(asset).partitions_def if asset is not None and graph.has(asset) else None
    if definition is None:
        return None
    try:
        return f"{folder}/{folders(definition, [key])[key]}"
    except (DagsterError, ValueError, KeyError):
        return None  # Not a key of this asset.
