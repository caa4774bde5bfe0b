"""Compares a write with the asset's other partitions: readers must be able to read them together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from lake_assets.frames.promotions import common_schema

if TYPE_CHECKING:
    import pyarrow

    from lake_assets.lake.contract import Lake

_FIRST = 16
"""The number of partitions that a write is compared with, so that its cost does not grow with their number."""


def refuse_incompatible(
    lake: Lake,
    commit: str,
    prefix: str,
    written: Mapping[str, pyarrow.Schema],
    read: Callable[[str], pyarrow.Schema | None],
) -> None:
    """Refuse a write whose columns have no common type with those of the asset's other partitions.

    It is compared with the first partitions and with the one written last. If two runs write incompatible partitions at
    the same time, the reader finds it, and also names the column and the partitions.

    Parameters
    ----------
    lake
        The lake.
    commit
        The commit that the write starts from.
    prefix
        The asset's folder.
    written
        Folder below the prefix to the columns written there.
    read
        Returns the columns of a file of the commit, given its path; None if the file records none.

    Raises
    ------
    RefusedColumn
        No type can hold the values of both types of a column. The message names the column and the partitions.
    """
    if "" in written:
        return
    schemas: dict[str, pyarrow.Schema] = {}
    for folder in _others(lake, commit, prefix, written):
        for item in lake.list(commit, folder):
            schema = read(item.path)
            if schema is not None:
                schemas[folder] = schema
                break
    common_schema(schemas | {f"{prefix}/{folder}": schema for folder, schema in written.items()})


def _others(lake: Lake, commit: str, prefix: str, written: Collection[str]) -> Iterator[str]:
    if lake.fingerprint(commit, prefix) is None:
        return
    found: set[str] = set()
    for path in (item.path for item in lake.list(commit, prefix)):
        folder = _other(path, prefix, written)
        if folder is None or folder in found:
            continue
        if len(found) == _FIRST:
            break
        found.add(folder)
        yield folder
    else:
        return
    newest = next(lake.log(commit, 1, prefix))
    changed = lake.diff(newest.parents[0], newest.id, prefix).paths if newest.parents else ()
    folder = _other(changed[-1], prefix, written) if changed else None
    if folder is not None and folder not in found and lake.fingerprint(commit, folder) is not None:
        yield folder


def _other(path: str, prefix: str, written: Collection[str]) -> str | None:
    """Return the partition folder of a file; None if it has none, or the write replaces it."""
    folder = path.rpartition("/")[0]
    return None if "=" not in folder or folder[len(prefix) + 1 :] in written else folder
