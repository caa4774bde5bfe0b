"""Files of a lake on a server, for DuckDB: through the lake's own file system, with small files kept in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from fsspec import AbstractFileSystem
from pyarrow import BufferReader

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from pyarrow import NativeFile

    from lake_assets.lake.contract import Snapshot

_SCHEME = "lake"
_SMALL = 4 << 20
"""Files up to this size are read once, as a whole. DuckDB opens a file several times, and each is a request."""
_KEPT = 256 << 20
"""Bytes of small files that a process keeps."""
_TOGETHER = 8


def duckdb_paths(connection: DuckDBPyConnection, snapshot: Snapshot, files: Sequence[str]) -> Sequence[str]:
    """Return the paths by which DuckDB reads files of a snapshot that are not on a local disk.

    Parameters
    ----------
    connection
        Reads them. All that it reads are of the same lake.
    snapshot
        The snapshot.
    files
        Paths on its file system.
    """
    if not connection.filesystem_is_registered(_SCHEME):
        connection.register_filesystem(_Files(snapshot))
    _small.fetch(snapshot, files)
    return [f"{_SCHEME}://{snapshot.commit}/{path}" for path in files]


class _SmallFiles:
    """The content of small files, those used last. What a commit holds at a path never changes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0

    def get(self, name: str) -> bytes | None:
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
            return self._kept.get(name)

    def fetch(self, snapshot: Snapshot, files: Sequence[str]) -> None:
        """Read the small ones of some files, several at once, but no more of them than are kept."""
        left = _KEPT

        def read(path: str) -> None:
            nonlocal left
            name = f"{snapshot.commit}/{path}"
            if left <= 0 or self.get(name) is not None:
                return
            with snapshot.filesystem.open_input_file(path) as file:
                if file.size() > _SMALL:
                    return
                content = file.read()
            left -= len(content)
            self._keep(name, content)

        with ThreadPoolExecutor(_TOGETHER, "lake-files") as pool:
            list(pool.map(read, files))

    def _keep(self, name: str, content: bytes) -> None:
        with self._lock:
            self._size += len(content) - len(self._kept.pop(name, b""))
            self._kept[name] = content
            while self._size > _KEPT:
                self._size -= len(self._kept.popitem(last=False)[1])


_small = _SmallFiles()


class _Files(AbstractFileSystem):  # pyright: ignore[reportUntypedBaseClass]
    """What DuckDB asks of a file system. A path is ``commit/path``."""

    protocol = _SCHEME
    cachable = False

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self._filesystem = snapshot.filesystem

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path.removeprefix(f"{_SCHEME}://")

    def glob(self, path: str, **_: Any) -> list[str]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return a path as it is. None of its characters is a pattern."""
        return [self._strip_protocol(path)]

    def exists(self, path: str, **_: Any) -> bool:
        return bool(path)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        with self.open(path) as file:
            return {"name": path, "size": file.size, "type": "file"}

    def modified(self, path: str) -> datetime:
        del path
        return datetime(2000, 1, 1, tzinfo=timezone.utc)

    def open(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, path: str, mode: str = "rb", **_: Any
    ) -> _Handle:
        """Open a file for reading."""
        if mode != "rb":
            raise PermissionError("a snapshot is only read")
        name = self._strip_protocol(path)
        content = _small.get(name)
        if content is not None:
            return _Handle(BufferReader(content))
        return _Handle(self._filesystem.open_input_file(name.partition("/")[2]))


class _Handle:
    """An open file. DuckDB's threads share it and move to a place before they read, so each has its own position."""

    closed = False

    def __init__(self, file: NativeFile) -> None:
        self._file, self._own = file, threading.local()
        self.size: int = file.size()

    def __enter__(self) -> _Handle:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def seek(self, place: int, whence: int = 0) -> int:
        self._own.place = place + (0, self.tell(), self.size)[whence]
        return self._own.place

    def tell(self) -> int:
        return getattr(self._own, "place", 0)

    def read(self, size: int = -1) -> bytes:
        place = self.tell()
        left = max(self.size - place, 0)
        content = self._file.read_at(left if size < 0 else min(size, left), place)
        self._own.place = place + len(content)
        return content

    def close(self) -> None:
        self._file.close()
