"""An outbox in a file: JSON lines, and beside it a marker that says how far they are committed.

Lines are appended and synced, then the marker replaces the old one in one rename: that is the commit. What stands past
the marker's size belongs to a sender that was killed, and the next one cuts it off. Readers who want committed lines
only use :func:`read_committed`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from itertools import islice
from pathlib import Path

import msgspec

from lake_assets.outbox.contract import OutboxDamaged, OutboxError, OutboxTaken, OutboxUnavailable, Update
from lake_assets.outbox.records import DEFAULT_FIELDS, Fields

MARKER = ".delivered"
"""What the marker's file name ends with."""

_BATCH = 4096
_LOCK_TRIES = 0.05
"""Seconds between tries; ``flock`` itself knows no deadline."""

_REMEDIES = {
    errno.ENOSPC: "free space, then run again",
    errno.EDQUOT: "free space, then run again",
    errno.EROFS: "mount it read-write",
    errno.EACCES: "give this user write permission",
    errno.EPERM: "give this user write permission",
    errno.EISDIR: "name a file, not a folder",
    errno.EEXIST: "a file stands where its folder should be: choose another path",
    errno.ENOTDIR: "a file stands where its folder should be: choose another path",
}


@dataclass(frozen=True, slots=True)
class _Marker:
    """The last commit delivered, the lake it is of, and how many bytes of the output are committed."""

    commit: str | None = None
    repository: str = ""
    size: int = 0


class LinesOutbox:
    """JSON lines such as ``{"key":"dog","value":2}``; the value of a key that is gone is null.

    Parameters
    ----------
    path
        The file. It and its folder are made where they are missing. Removed, it is delivered anew.
    repository
        The lake whose commits are delivered; kept in the marker, for people.
    deadline
        Seconds to wait for another sender.
    fields
        Names of key and value in a line.

    Examples
    --------
    >>> with LinesOutbox(Path("counts.jsonl"), "lake").sender() as sender:
    ...     _ = sender.deliver("c0ffee", [Update("dog", 2)])
    """

    def __init__(self, path: Path, repository: str, deadline: float = 60.0, fields: Fields = DEFAULT_FIELDS) -> None:
        self._path = path.expanduser().absolute()
        self._repository = repository
        self._deadline = deadline
        self._fields = fields

    @property
    def address(self) -> str:
        """The file's path."""
        return str(self._path)

    def delivered(self) -> str | None:
        """Return the commit in the marker; None where there is no marker, or its output was removed."""
        with _translated(self._path):
            return (_read_marker(self._path) or _Marker()).commit

    @contextmanager
    def sender(self) -> Generator[LinesSender]:
        """Lock the file, waiting for another sender, and cut off what none committed."""
        with _translated(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = _lock(self._path, time.monotonic() + self._deadline)
        with file:
            with _translated(self._path):
                marker = _recover(self._path, file)
            yield LinesSender(file, self._path, marker, self._repository, self._fields)


class LinesSender:
    """The process that holds the file's lock."""

    def __init__(self, file: FileIO, path: Path, marker: _Marker, repository: str, fields: Fields) -> None:
        self._file = file
        self._path = path
        self._marker = marker
        self._repository = repository
        self._fields = fields

    @property
    def delivered(self) -> str | None:
        """The last commit delivered."""
        return self._marker.commit

    def deliver(self, commit: str, updates: Iterable[Update]) -> int:
        """Append a commit's updates and move the marker; see :meth:`Sender.deliver`."""
        if self._file.closed:
            raise OutboxError(f"this sender of {self._path} has failed: open another")
        try:
            sent = self._append(updates)
        except BaseException:
            # The next sender would do it; but a full disk wants its space back now.
            with suppress(OSError):
                self._file.truncate(self._marker.size)
            self._file.close()
            raise
        with _translated(self._path):
            marker = _Marker(commit, self._repository, self._file.tell())
            try:
                _replace(_marker_of(self._path), msgspec.json.encode(marker))
            except BaseException:
                # Whether it was replaced is for the next sender to see.
                self._file.close()
                raise
        self._marker = marker
        return sent

    def _append(self, updates: Iterable[Update]) -> int:
        encode, remaining, sent = self._fields.encode, iter(updates), 0
        while batch := [encode(update) for update in islice(remaining, _BATCH)]:
            with _translated(self._path):
                _write_all(self._file, b"\n".join([*batch, b""]))
            sent += len(batch)
        with _translated(self._path):
            os.fsync(self._file.fileno())
        return sent


def read_committed(path: Path, fields: Fields = DEFAULT_FIELDS) -> Iterator[Update]:
    """Yield the updates that are committed, oldest first; a sender may be at work meanwhile.

    Parameters
    ----------
    path
        The file.
    fields
        Names of key and value in a line.

    Raises
    ------
    OutboxDamaged
        The file ends before its marker says.
    """
    with _translated(path):
        left = (_read_marker(path) or _Marker()).size
    if not left:
        return
    with path.open("rb") as file:
        while left > 0:
            line = file.readline()
            if not line:
                raise OutboxDamaged(f"{path} ends {left} bytes before what was delivered: something else wrote to it")
            left -= len(line)
            yield fields.decode(line)


def _recover(path: Path, file: FileIO) -> _Marker:
    """Return the marker of a locked file, from which what no sender committed is cut off."""
    marker, size = _read_marker(path), os.fstat(file.fileno()).st_size
    if marker is None and size:
        # Not of a killed sender, which leaves a marker before its first line: somebody's own file.
        raise OutboxDamaged(
            f"{path} holds {size} bytes, and no marker says that they were delivered: choose another path, or move it"
        )
    if marker is None:
        marker = _Marker()
        _replace(_marker_of(path), msgspec.json.encode(marker))
    if size < marker.size:
        raise OutboxDamaged(
            f"{path} holds {size} bytes, but {marker.size} were delivered: something else wrote to it. Put it back, "
            "or remove it to have every published commit delivered anew"
        )
    file.truncate(marker.size)
    file.seek(marker.size)
    return marker


def _marker_of(path: Path) -> Path:
    return path.with_name(path.name + MARKER)


def _read_marker(path: Path) -> _Marker | None:
    """Return the marker, or None: there is none, or the output that it speaks of was removed."""
    place = _marker_of(path)
    try:
        text = place.read_bytes()
        marker = msgspec.json.decode(text, type=_Marker)
        return marker if path.stat().st_size or not marker.size else None
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise OutboxDamaged(
            f"{place} is no marker ({error}): remove it and {path} to have every published commit delivered anew"
        ) from error


def _replace(path: Path, data: bytes) -> None:
    """Replace a file's bytes at once and for good, or not at all."""
    aside = path.with_name(path.name + ".new")
    with aside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _write_all(file: FileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _lock(path: Path, to_commit: float) -> FileIO:
    """Return the file, open and locked; the kernel lets go of the lock when this process dies."""
    while True:
        # Unbuffered: what could not be written must not be tried again when it is closed.
        file = FileIO(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(path, file):
                return file
        except BlockingIOError:
            if time.monotonic() > to_commit:
                file.close()
                raise OutboxTaken(f"{path} is being written by another run: run again when that has ended") from None
        except BaseException:
            file.close()
            raise
        file.close()
        time.sleep(_LOCK_TRIES)


def _is_at(path: Path, file: FileIO) -> bool:
    """Tell whether an open file is still the one of that name."""
    try:
        return path.stat().st_ino == os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False


@contextmanager
def _translated(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "see to it, then run again")
        raise OutboxUnavailable(f"{path} cannot be used: {error.strerror or error}: {remedy}") from error
