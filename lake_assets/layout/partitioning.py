"""How an asset's folder is partitioned, told by what lies in it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from lake_assets.lake.contract import Lake
from lake_assets.lake.errors import PathNotFound
from lake_assets.lake.names import join
from lake_assets.layout.manifest import MANIFEST, read_manifest

_LAST = "\U0010ffff"
"""Sorts behind any character of a name."""


def unlike(lake: Lake, ref: str, prefix: str, columns: Sequence[str], windows: str = "") -> str | None:
    """Return a file at an asset's prefix that lies in other folders than its definition says; None where none does.

    Other time windows with folders of the same names count as other folders.

    So does a manifest below the prefix of an unpartitioned asset: in lakes of format 1 another asset could lie there.
    Two listings at most that end at their first file, however many partitions there are: every write is compared so,
    and what lies in one folder of the outermost column speaks for the others.

    Parameters
    ----------
    columns
        Partition columns, outermost first; none of an unpartitioned asset.
    windows
        The time windows that are its partitions; empty where it has none.
    """
    after = ""
    for item in lake.list(ref, prefix):
        below = item.path[len(prefix) + 1 :]
        if columns_of(below) != tuple(columns) or (not columns and below.endswith(f"/{MANIFEST}")):
            return item.path
        if windows and held_windows(lake, ref, item.path) not in ("", windows):
            return item.path
        if columns:
            after = f"{prefix}/{columns[0]}={_LAST}"
            break
    return next((item.path for item in lake.list(ref, prefix, after)), None) if after else None


def held_windows(lake: Lake, ref: str, path: str) -> str:
    """Return the time windows that the manifest beside a file names; empty where none does."""
    with suppress(PathNotFound, OSError, ValueError, KeyError):
        return read_manifest(lake.path(ref, join(path.rpartition("/")[0], MANIFEST))).windows
    return ""


def columns_of(path: str) -> tuple[str, ...]:
    """Return the columns that a file's folders name, in Hive's manner, outermost first."""
    found: list[str] = []
    for part in path.split("/")[:-1]:
        name, equals, _ = part.partition("=")
        if not equals:
            break
        found.append(name)
    return tuple(found)
