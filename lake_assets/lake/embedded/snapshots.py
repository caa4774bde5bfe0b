"""Snapshots as folders of hard links, cached by content and kept while a reader uses them.

A reader lists the snapshots that it uses in its own file, and holds the lock of this file until it is closed or dies. A
cleaner removes the snapshots that no running reader lists. Both hold one short lock meanwhile.

A snapshot is compared with its commit each time it is handed out, and mended where a file was removed, cut or added. If
the folder of all snapshots is removed, it is made anew together with the file of each reader that is running.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from lake_assets.lake.embedded.durability import sync_tree
from lake_assets.lake.embedded.failures import is_read_only
from lake_assets.lake.embedded.links import Links, Piece
from lake_assets.lake.embedded.locks import is_at, locked, try_lock
from lake_assets.lake.embedded.scratch import Scratch
from lake_assets.lake.permissions import Sharing

_ATTEMPTS = 10


class Snapshots:
    """The snapshot cache at ``root``, as one reader sees it.

    Parameters
    ----------
    root
        Its folder.
    scratch
        Where new snapshots are filled.
    links
        Fills and mends them.
    """

    def __init__(self, root: Path, scratch: Scratch, links: Links) -> None:
        self._root = root
        self._scratch = scratch
        self._sharing = scratch.sharing
        self._links = links
        self._readers = root / ".readers"
        self._pid = os.getpid()
        self._reader: _Reader | None = None
        self._private: Path | None = None
        self._mutex = threading.Lock()

    def folder(self, key: str, pieces: Mapping[str, Piece]) -> Path:
        """Return the folder of a key with exactly these files, and keep it until :meth:`close`.

        Parameters
        ----------
        key
            Digest of the content.
        pieces
            Its files, by their paths below it.

        Raises
        ------
        PieceGoneError
            The data of a file are missing or damaged.
        """
        with self._mutex:
            self._disown_after_fork()
            for attempt in range(_ATTEMPTS):
                try:
                    self._keep(key)
                    self._build_or_mend(self._root / key, pieces)
                    return self._root / key
                except FileNotFoundError:
                    # Somebody is removing our folders meanwhile.
                    if attempt == _ATTEMPTS - 1:
                        raise
                except OSError as error:
                    if not is_read_only(error):
                        raise
                    # The lake is read-only: make the links in a temporary folder outside of it.
                    return self._private_folder(key, pieces)
        raise AssertionError

    def _disown_after_fork(self) -> None:
        """Forget what belongs to the parent process."""
        if self._pid != os.getpid():
            self._pid, self._reader, self._private = os.getpid(), None, None

    def _keep(self, key: str) -> None:
        if self._reader is not None and key in self._reader.keys and self._reader.is_listed():
            return
        with self._exclusive():
            if self._reader is None or not self._reader.is_listed():
                before = self._reader
                self._reader = _Reader(self._readers, self._sharing, before.keys if before else ())
                if before is not None:
                    before.close()
            self._reader.add(key)

    @contextmanager
    def _exclusive(self) -> Generator[None]:
        self._sharing.make_folder(self._readers)
        with locked(self._root / ".lock", self._sharing):
            yield

    def _build_or_mend(self, path: Path, pieces: Mapping[str, Piece]) -> None:
        if path.is_dir() and not self._links.differences(path, pieces):
            return
        with self._scratch.folder() as aside:
            if path.is_dir():
                self._links.mend(path, pieces, aside)
                return
            built = aside / "snapshot"
            self._links.fill(built, pieces)
            # After a power loss a snapshot is complete or absent, or else it is mended at its next use.
            sync_tree(built, files=False)
            try:
                built.rename(path)
            except NotADirectoryError:
                path.replace(aside / "file")
                built.rename(path)
            except OSError as error:
                # Another reader was first, with the same content.
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise

    def _private_folder(self, key: str, pieces: Mapping[str, Piece]) -> Path:
        if self._private is None or not self._private.is_dir():
            self._private = Path(tempfile.mkdtemp(prefix="lake_assets-"))
        path, aside = self._private / key, self._private / ".aside"
        aside.mkdir(exist_ok=True)
        if path.is_dir():
            self._links.mend(path, pieces, aside)
            return path
        building = path.with_suffix(".building")
        shutil.rmtree(building, ignore_errors=True)
        self._links.fill(building, pieces)
        building.rename(path)
        return path

    def unused(self) -> list[Path]:
        """Return the folders that no running reader uses."""
        with self._exclusive():
            return self._unused()

    def _unused(self) -> list[Path]:
        kept: set[str] = set()
        for reader in self._readers.glob("*"):
            if (lock := try_lock(reader)) is not None:
                reader.unlink(missing_ok=True)
                os.close(lock)
            elif reader.exists():
                kept.update(reader.read_text().split())
        return [path for path in sorted(self._root.glob("[!.]*")) if path.name not in kept]

    def clean(self) -> None:
        """Remove the folders that no running reader uses."""
        with self._scratch.folder() as trash, self._exclusive():
            for path in self._unused():
                # One of another user, who alone may remove it.
                with suppress(PermissionError):
                    path.rename(trash / path.name)

    def close(self) -> None:
        """Release all folders."""
        with self._mutex:
            self._disown_after_fork()
            if self._reader is not None:
                self._reader.close()
            if self._private is not None:
                shutil.rmtree(self._private, ignore_errors=True)
            self._reader = self._private = None


class _Reader:
    """The snapshots that one reader uses: a file of keys, whose lock shows that the reader is running."""

    def __init__(self, folder: Path, sharing: Sharing, keys: Iterable[str]) -> None:
        self.keys: set[str] = set()
        self._path = folder / secrets.token_hex(8)
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o666)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        sharing.adjust(self._path)
        for key in keys:
            self.add(key)

    def is_listed(self) -> bool:
        """Tell whether others find the file."""
        return is_at(self._path, self._file)

    def add(self, key: str) -> None:
        os.write(self._file, f"{key}\n".encode())
        self.keys.add(key)

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._file)
