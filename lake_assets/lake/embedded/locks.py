"""Locks that the kernel releases when their process dies.

A ``flock`` belongs to an open file. Each acquisition opens the file anew, so that threads exclude each other as
processes do. A lock is released only by closing the file, since a forked child shares its parent's open files.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from lake_assets.lake.permissions import UMASK, Sharing


@contextmanager
def locked(path: Path, sharing: Sharing = UMASK) -> Generator[None]:
    """Hold the lock of a file, and wait for it if necessary.

    The file is created if it is missing, also if somebody removes it while this waits: then its old lock, which others
    may hold, excludes nobody any more.

    Parameters
    ----------
    path
        The file.
    sharing
        Who else may hold the lock.
    """
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            if is_at(path, file):
                sharing.adjust(path)
                yield
                return
        finally:
            os.close(file)


def is_at(path: Path, file: int) -> bool:
    """Tell whether an open file is still the one at a path."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file))
    except FileNotFoundError:
        return False


def try_lock(path: Path) -> int | None:
    """Return an open file that holds the lock of a path. None if it is held, is another user's, or does not exist."""
    try:
        file = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, PermissionError):
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_at(path, file):
            return file
    except BlockingIOError:
        pass
    os.close(file)
    return None
