"""Snapshots as folders of hard links, cached by content and kept while a reader uses them.

A reader lists the snapshots that it uses in its own file, and holds the lock of this file until it is closed or dies. A
cleaner removes the snapshots that no running reader lists. Both hold one short lock meanwhile.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from lake_assets.lake.embedded.durability import sync_tree
from lake_assets.lake.embedded.failures import is_read_only
from lake_assets.lake.embedded.locks import locked, try_lock
from lake_assets.lake.embedded.scratch import Scratch, make_folder

Build = Callable[[Path], None]


class Snapshots:
    """The snapshot cache at ``root``, as one reader sees it."""

    def __init__(self, root: Path, scratch: Scratch) -> None:
        self._root = root
        self._scratch = scratch
        self._readers = root / ".readers"
        self._pid = os.getpid()
        self._reader: _Reader | None = None
        self._private: Path | None = None
        self._mutex = threading.Lock()

    def folder(self, key: str, build: Build) -> Path:
        """Return the folder of a key, and keep it until :meth:`close`.

        Parameters
        ----------
        key
            Digest of the content.
        build
            Fills the folder if it is missing.
        """
        with self._mutex:
            self._disown_after_fork()
            try:
                self._keep(key)
            except OSError as error:
                if not is_read_only(error):
                    raise
                # The lake is read-only: make the links in a temporary folder outside of it.
                return self._build_privately(key, build)
            path = self._root / key
            if not path.is_dir():
                self._build(path, build)
            return path

    def _disown_after_fork(self) -> None:
        """Forget what belongs to the parent process."""
        if self._pid != os.getpid():
            self._pid, self._reader, self._private = os.getpid(), None, None

    def _keep(self, key: str) -> None:
        if self._reader is not None and key in self._reader.keys:
            return
        with self._exclusive():
            if self._reader is None:
                self._reader = _Reader(self._readers)
            self._reader.add(key)

    @contextmanager
    def _exclusive(self) -> Generator[None]:
        make_folder(self._readers)
        with locked(self._root / ".lock"):
            yield

    def _build(self, path: Path, build: Build) -> None:
        with self._scratch.folder() as folder:
            built = folder / "snapshot"
            make_folder(built)
            build(built)
            # A snapshot must be complete or absent even after a power loss, since readers do not check it.
            sync_tree(built, files=False)
            try:
                built.rename(path)
            except OSError as error:
                # Another reader was first, with the same content.
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise

    def _build_privately(self, key: str, build: Build) -> Path:
        if self._private is None:
            self._private = Path(tempfile.mkdtemp(prefix="lake_assets-"))
        path = self._private / key
        if not path.is_dir():
            building = path.with_suffix(".building")
            shutil.rmtree(building, ignore_errors=True)
            make_folder(building)
            build(building)
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

    def __init__(self, folder: Path) -> None:
        self.keys: set[str] = set()
        self._path = folder / secrets.token_hex(8)
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def add(self, key: str) -> None:
        os.write(self._file, f"{key}\n".encode())
        self.keys.add(key)

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._file)
