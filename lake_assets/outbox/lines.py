"""An outbox in a file of JSON lines, with a marker file that stores the committed size.

Lines are appended and synced. Then a new marker replaces the old one by a rename, which is the commit. Lines beyond the
committed size were written by a sender that was killed, and the next sender removes them. To read committed lines only,
use :func:`read_committed`.
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
from typing import Any

import msgspec

from lake_assets.lake.permissions import sharing_near
from lake_assets.outbox.contract import OutboxDamaged, OutboxError, OutboxTaken, OutboxUnavailable, Update
from lake_assets.outbox.records import DEFAULT_FIELDS, Fields, key_bytes

MARKER = ".delivered"
"""Suffix of the marker's file name."""

_BATCH = 4096
_LOCK_TRIES = 0.05
"""Seconds between attempts, since ``flock`` has no timeout."""

_REMEDIES = {
    errno.ENOSPC: "free space, then run again",
    errno.EDQUOT: "free space, then run again",
    errno.EROFS: "mount it read-write",
    errno.EACCES: "give this user write permission",
    errno.EPERM: "give this user write permission",
    errno.EISDIR: "name a file, not a folder",
    errno.EEXIST: "there is a file in place of its folder: choose another path",
    errno.ENOTDIR: "there is a file in place of its folder: choose another path",
}


@dataclass(frozen=True, slots=True)
class _Marker:
    """The last delivered commit, its lake, and the committed size of the output in bytes."""

    commit: str | None = None
    repository: str = ""
    size: int = 0


class LinesOutbox:
    """JSON lines such as ``{"key":"dog","value":2}``. The value of a removed key is null.

    Parameters
    ----------
    path
        The file. It is created, with its folder, if it is missing. If it is removed, everything is delivered again.
    repository
        The lake whose commits are delivered. It is stored in the marker for information.
    deadline
        Seconds to wait for another sender.
    fields
        Field names of key and value in a line.

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
        """Return the commit in the marker. None if there is no marker, or its output was removed."""
        with _translated(self._path):
            return (_read_marker(self._path) or _Marker()).commit

    @contextmanager
    def sender(self) -> Generator[LinesSender]:
        """Lock the file, waiting for another sender, and remove uncommitted lines; see :meth:`Outbox.sender`."""
        with _translated(self._path):
            sharing_near(self._path.parent).make_folder(self._path.parent)
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
        """The last delivered commit."""
        return self._marker.commit

    def live_keys(self) -> dict[bytes, Any]:
        """Return the keys whose last value is not None; see :meth:`Sender.live_keys`."""
        found: dict[bytes, Any] = {}
        for update in read_committed(self._path, self._fields):
            key = key_bytes(update.key)
            if update.value is None:
                found.pop(key, None)
            else:
                found[key] = update.key
        return found

    def deliver(self, commit: str, updates: Iterable[Update]) -> int:
        """Append a commit's updates and move the marker; see :meth:`Sender.deliver`."""
        if self._file.closed:
            raise OutboxError(f"this sender of {self._path} has failed: open another")
        try:
            sent = self._append(updates)
        except BaseException:
            # The next sender would also do this, but a full disk needs its space back now.
            with suppress(OSError):
                self._file.truncate(self._marker.size)
            self._file.close()
            raise
        with _translated(self._path):
            marker = _Marker(commit, self._repository, self._file.tell())
            try:
                _replace(_marker_of(self._path), msgspec.json.encode(marker))
            except BaseException:
                # It is not known whether the marker was replaced. The next sender will read it.
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
    """Yield the committed updates, oldest first. A sender may be active at the same time.

    Parameters
    ----------
    path
        The file.
    fields
        Field names of key and value in a line.

    Raises
    ------
    OutboxDamaged
        The file is shorter than its committed size.
    """
    with _translated(path):
        left = (_read_marker(path) or _Marker()).size
    if not left:
        return
    with path.open("rb") as file:
        while left > 0:
            line = file.readline()
            if not line:
                raise OutboxDamaged(f"{path} is {left} bytes shorter than delivered: another program wrote to it")
            left -= len(line)
            yield fields.decode(line)


def _recover(path: Path, file: FileIO) -> _Marker:
    """Remove uncommitted lines from a locked file, and return its marker."""
    marker, size = _read_marker(path), os.fstat(file.fileno()).st_size
    if marker is None and size:
        # A sender writes a marker before its first line. So this is a file of another program.
        raise OutboxDamaged(
            f"{path} has {size} bytes, but no marker file, so it is not an outbox: choose another path, or move it"
        )
    if marker is None:
        marker = _Marker()
        _replace(_marker_of(path), msgspec.json.encode(marker))
    if size < marker.size:
        raise OutboxDamaged(
            f"{path} has {size} bytes, but {marker.size} were delivered: another program wrote to it. Restore it, "
            "or remove it to deliver all published commits again"
        )
    file.truncate(marker.size)
    file.seek(marker.size)
    return marker


def _marker_of(path: Path) -> Path:
    return path.with_name(path.name + MARKER)


def _read_marker(path: Path) -> _Marker | None:
    """Return the marker. None if there is no marker, or its output was removed."""
    place = _marker_of(path)
    try:
        text = place.read_bytes()
        marker = msgspec.json.decode(text, type=_Marker)
        return marker if path.stat().st_size or not marker.size else None
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise OutboxDamaged(
            f"{place} is not a marker ({error}): remove it and {path} to deliver all published commits again"
        ) from error


def _replace(path: Path, data: bytes) -> None:
    """Replace a file's content atomically and durably."""
    aside = path.with_name(path.name + ".new")
    with aside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    sharing_near(path.parent).adjust(aside)
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


def _lock(path: Path, deadline: float) -> FileIO:
    """Open and lock the file. The kernel releases the lock when this process dies."""
    while True:
        # Unbuffered, so that a failed write is not repeated on closing.
        file = FileIO(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(path, file):
                sharing_near(path.parent).adjust(path)
                return file
        except BlockingIOError:
            if time.monotonic() > deadline:
                file.close()
                raise OutboxTaken(f"another run is writing to {path}: run again when that has ended") from None
        except BaseException:
            file.close()
            raise
        file.close()
        time.sleep(_LOCK_TRIES)


def _is_at(path: Path, file: FileIO) -> bool:
    """Tell whether an open file is still the file at a path."""
    try:
        return path.stat().st_ino == os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False


@contextmanager
def _translated(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "fix this, then run again")
        raise OutboxUnavailable(f"{path} cannot be used: {error.strerror or error}: {remedy}") from error
