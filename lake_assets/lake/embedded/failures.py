"""What the disk and Git report, as errors of the lake: one table from errno to what to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager

import pygit2

from lake_assets.lake.errors import LakeError, LakeUnavailable

_NOT_WRITABLE = "the lake's folder may not be written: mount it read-write, or give this user write permission"
REMEDIES = {
    errno.ENOSPC: "the disk of the lake is full: free space (`lake-assets clean`), then run again",
    errno.EDQUOT: "the disk quota of the lake is used up: free space (`lake-assets clean`), then run again",
    errno.EROFS: _NOT_WRITABLE,
    errno.EACCES: _NOT_WRITABLE,
    errno.EPERM: _NOT_WRITABLE,
    errno.EMFILE: "too many open files: raise `ulimit -n`",
    errno.EXDEV: "the lake's folder spans two file systems: keep it on one, since data moves in by hard link",
}
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def is_read_only(error: OSError) -> bool:
    """Tell whether the place may be read but not written."""
    return error.errno in (errno.EROFS, errno.EACCES, errno.EPERM)


def _reason(error: Exception) -> str:
    # libgit2 passes the system's message on, but not its number.
    number = error.errno if isinstance(error, OSError) else None
    for known, remedy in REMEDIES.items():
        if number == known or (number is None and os.strerror(known) in str(error)):
            return f"{remedy} ({_line_with(os.strerror(known), str(error))})"
    return f"the lake's folder does not work as it should: {error}"


def _line_with(words: str, text: str) -> str:
    """Return the one line that says it, of an engine's many; all of a text that does not."""
    return next((line.strip() for line in text.splitlines() if words in line), text)


def _is_disk_full(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in DISK_FULL
    # An engine such as Spark says it in the words of the system, deep in a text of its own.
    return any(os.strerror(number) in str(error) for number in DISK_FULL)


@contextmanager
def translated(repository: str, ref: str = "", path: str = "") -> Generator[None]:
    """Raise what the disk or Git reports inside as :class:`LakeUnavailable`."""
    try:
        yield
    except (OSError, pygit2.GitError) as error:
        raise LakeUnavailable(_reason(error), repository=repository, ref=ref, path=path) from error


@contextmanager
def disk_full_translated(repository: str, ref: str, path: str) -> Generator[None]:
    """Raise only a full disk as :class:`LakeUnavailable`: for the caller's code, whose errors are its own."""
    try:
        yield
    except LakeError:
        raise
    except Exception as error:
        if not _is_disk_full(error):
            raise
        raise LakeUnavailable(_reason(error), repository=repository, ref=ref, path=path) from error
