"""Checks that the files of an asset match its partitions definition."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from lake_assets.lake.contract import Lake
from lake_assets.lake.errors import PathNotFound
from lake_assets.lake.names import join
from lake_assets.layout.manifest import MANIFEST, read_manifest

_LAST = "\U0010ffff"
"""Sorts after any other character of a name."""


def find_misplaced(lake: Lake, ref: str, prefix: str, columns: Sequence[str], windows: str = "") -> str | None:
    """Return a file of an asset that does not match its partitions definition; None if there is none.

    A file does not match if its folders have other partition columns, or if its manifest names other time windows. In
    the folder of an unpartitioned asset, a manifest in a subfolder does not match either: in lakes of format 1 it could
    belong to another asset.

    Every write calls this, so it reads only the first file of at most two listings, however many partitions there are.
    One folder of the outermost column stands for all of them.

    Parameters
    ----------
    lake
        The lake.
    ref
        The ref to examine.
    prefix
        The asset's folder.
    columns
        Partition columns, outermost first; empty for an unpartitioned asset.
    windows
        The time windows of its partitions; empty if it has none.
    """
    after = ""
    for item in lake.list(ref, prefix):
        below = item.path[len(prefix) + 1 :]
        if columns_in_path(below) != tuple(columns) or (not columns and below.endswith(f"/{MANIFEST}")):
            return item.path
        if windows and recorded_windows(lake, ref, item.path) not in ("", windows):
            return item.path
        if columns:
            after = f"{prefix}/{columns[0]}={_LAST}"
            break
    return next((item.path for item in lake.list(ref, prefix, after)), None) if after else None


def recorded_windows(lake: Lake, ref: str, path: str) -> str:
    """Return the time windows that the manifest in a file's folder names; empty if it names none.

    Parameters
    ----------
    lake
        The lake.
    ref
        The ref that holds the file.
    path
        Path of the file.
    """
    with suppress(PathNotFound, OSError, ValueError, KeyError):
        return read_manifest(lake.path(ref, join(path.rpartition("/")[0], MANIFEST))).windows
    return ""


def columns_in_path(path: str) -> tuple[str, ...]:
    """Return the partition columns in a path with Hive-style folders, outermost first.

    Parameters
    ----------
    path
        Path of a file below the asset's folder.
    """
    found: list[str] = []
    for part in path.split("/")[:-1]:
        name, equals, _ = part.partition("=")
        if not equals:
            break
        found.append(name)
    return tuple(found)
