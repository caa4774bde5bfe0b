"""Syncing: what is to outlive a power loss is on disk, files and the folders that name them.

The order is the same everywhere: the bytes of a file are synced before it gets its name, its folders before a
ref that reaches it moves, the ref's own file and folder before the call returns. So no name ever stands for
half of a file, and no ref for what is not there.
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
"""Threads that sync at once: they wait for the disk, which writes out together what is asked for together."""


def in_parallel(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Do work that waits for the disk on several items at once; the results in their order."""
    items = list(items)
    if len(items) <= 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(min(len(items), WORKERS)) as pool:
        return list(pool.map(work, items))


def sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on disk."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def sync_all(paths: Iterable[Path]) -> None:
    """Sync files and folders, each once."""
    in_parallel(sync, dict.fromkeys(paths))


def sync_tree(folder: Path, *, files: bool) -> None:
    """Sync a folder with all folders below it, and its files, too, if they may be new."""
    found = [(Path(root), names) for root, _, names in os.walk(folder)]
    sync_all([path / name for path, names in found for name in names if files] + [path for path, _ in found])


def new_names(folder: Path) -> Callable[[], None]:
    """Return what syncs the names of a folder that is about to be made, and of its parents as far as they are new."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    return partial(sync_all, [folder.parent, *(path.parent for path in missing)])
