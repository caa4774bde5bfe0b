"""Syncing to disk, so that committed data survive a power loss.

The order is the same everywhere. The bytes of a file are synced before it is renamed to its final name. Its folders are
synced before a ref that reaches it moves. The ref's own file and folder are synced before the call returns. So a name
never refers to an incomplete file, and a ref never refers to a missing object.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

WORKERS = 16
"""Threads that sync at the same time. They only wait for the disk, which combines concurrent requests."""


def in_parallel(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Call a function that waits for the disk for several items in parallel. Results keep the order of the items."""
    items = list(items)
    if len(items) <= 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(min(len(items), WORKERS)) as pool:
        return list(pool.map(work, items))


def sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's entries, are on disk."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def sync_all(paths: Iterable[Path]) -> None:
    """Sync files and folders, each of them once."""
    in_parallel(sync, dict.fromkeys(paths))


def sync_tree(folder: Path, *, files: bool) -> None:
    """Sync a folder with all folders below it, and with their files if ``files``."""
    found = [(Path(root), names) for root, _, names in os.walk(folder)]
    sync_all([path / name for path, names in found for name in names if files] + [path for path, _ in found])


def new_names(folder: Path) -> Callable[[], None]:
    """Return a function that syncs the entries of a folder that is about to be created, and of its new parents."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    return partial(sync_all, [folder.parent, *(path.parent for path in missing)])
