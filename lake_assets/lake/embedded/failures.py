"""Errors of the disk and of Git as errors of the lake, with one table from errno to remedy."""

from __future__ import annotations

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager

import pygit2

from lake_assets.lake.errors import LakeError, LakeUnavailable

_NOT_WRITABLE = "the lake's folder is not writable: mount it read-write, or give this user write permission"
REMEDIES = {
    errno.ENOSPC: "the disk of the lake is full: free space (`lake-assets clean`), then run again",
    errno.EDQUOT: "the disk quota of the lake is used up: free space (`lake-assets clean`), then run again",
    errno.EROFS: _NOT_WRITABLE,
    errno.EACCES: _NOT_WRITABLE,
    errno.EPERM: _NOT_WRITABLE,
    errno.EIO: "the disk reports an error: look in the system's log, and move the lake to another disk",
    errno.EMFILE: "too many open files: raise `ulimit -n`",
    errno.EXDEV: "the lake's folder spans two file systems: keep it on one, since data moves in by hard link",
}
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)

REPAIR = "`lake-assets doctor --repair` restores it where there is a copy, and says so where there is none"
_DAMAGED = {
    "packed references": f"lake.git/packed-refs is damaged: {REPAIR}",
    "config file": f"lake.git/config is damaged: {REPAIR}",
    "Repository not found": f"lake.git is no Git repository, or its HEAD, objects or refs are missing: {REPAIR}",
    "failed to lock file": "another program holds a lock in lake.git: end it, or remove its `.lock` file; run again",
}
"""What libgit2's texts mean. They carry no code that would tell."""


def is_read_only(error: OSError) -> bool:
    """Tell whether an error means that a place is not writable."""
    return error.errno in (errno.EROFS, errno.EACCES, errno.EPERM)


def _reason(error: Exception) -> str:
    # libgit2 passes on the system's message, but not the errno.
    number = error.errno if isinstance(error, OSError) else None
    for known, remedy in REMEDIES.items():
        if number == known or (number is None and os.strerror(known) in str(error)):
            return f"{remedy} ({_line_with(os.strerror(known), str(error))})"
    if isinstance(error, OSError):
        return f"the lake's folder cannot be read or written: {error}"
    for text, reason in _DAMAGED.items():
        if text in str(error):
            return reason
    return f"lake.git cannot be read: {REPAIR}"


def by_system(error: Exception) -> bool:
    """Tell whether the system refused something to libgit2, which therefore says nothing about a damaged file."""
    return any(os.strerror(known) in str(error) for known in REMEDIES)


def _line_with(words: str, text: str) -> str:
    """Return the first line that contains the words, or the whole text if no line does."""
    return next((line.strip() for line in text.splitlines() if words in line), text)


def _is_disk_full(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in DISK_FULL
    # An engine such as Spark has the system's message somewhere in its own text.
    return any(os.strerror(number) in str(error) for number in DISK_FULL)


@contextmanager
def translated(repository: str, ref: str = "", path: str = "") -> Generator[None]:
    """Translate errors of the disk and of Git to :class:`LakeUnavailable`."""
    try:
        yield
    except (OSError, pygit2.GitError) as error:
        raise LakeUnavailable(_reason(error), repository=repository, ref=ref, path=path) from error


@contextmanager
def disk_full_translated(repository: str, ref: str, path: str) -> Generator[None]:
    """Translate only the error of a full disk to :class:`LakeUnavailable`. For code of the caller."""
    try:
        yield
    except LakeError:
        raise
    except Exception as error:
        if not _is_disk_full(error):
            raise
        raise LakeUnavailable(_reason(error), repository=repository, ref=ref, path=path) from error
