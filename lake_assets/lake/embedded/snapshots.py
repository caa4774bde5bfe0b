"""Snapshots as folders of hard links, cached by content and kept while a reader has them.

A reader writes down what it uses in a file of its own, whose lock it holds until it is closed or dies. A
cleaner takes what no live reader wrote down. Both do so under one short lock, so neither comes between.
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
        """Return the folder of that key, made by ``build`` if missing, and keep it until :meth:`close`."""
        with self._mutex:
            self._disown_after_fork()
            try:
                self._keep(key)
            except OSError as error:
                if not is_read_only(error):
                    raise
                # A lake that may only be read: links in a folder of our own, outside it.
                return self._build_privately(key, build)
            path = self._root / key
            if not path.is_dir():
                self._build(path, build)
            return path

    def _disown_after_fork(self) -> None:
        """Forget what belongs to the process that we were forked from."""
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
            # After a power loss a snapshot is whole or not there: readers take what stands there for all there is.
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
        """Return the folders that no live reader keeps."""
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
        """Remove the folders that no live reader keeps."""
        with self._scratch.folder() as trash, self._exclusive():
            for path in self._unused():
                path.rename(trash / path.name)

    def close(self) -> None:
        """Keep nothing any more."""
        with self._mutex:
            self._disown_after_fork()
            if self._reader is not None:
                self._reader.close()
            if self._private is not None:
                shutil.rmtree(self._private, ignore_errors=True)
            self._reader = self._private = None


class _Reader:
    """What one reader keeps: a file of keys, whose lock says that the reader lives."""

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
