"""Temporary folders of the lake, removed by their owner, or by another process if their owner is dead."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from lake_assets.lake.embedded.locks import try_lock
from lake_assets.lake.permissions import UMASK, Sharing


class Scratch:
    """Creates and sweeps temporary folders.

    A folder belongs to the process that holds its lock. The kernel releases the lock when the process dies.

    Parameters
    ----------
    root
        Their parent folder. It is made when it is needed, and again where somebody removed it.
    sharing
        Who may use them.
    """

    def __init__(self, root: Path, sharing: Sharing = UMASK) -> None:
        self.root = root
        self.sharing = sharing

    @contextmanager
    def folder(self) -> Generator[Path]:
        """Yield a new folder. It is removed when the context ends."""
        while True:
            path = self.root / secrets.token_hex(8)
            self.sharing.make_folder(path)
            # A sweeper may have removed it before it was locked. Then try another one.
            if (lock := try_lock(path)) is not None:
                break
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)

    def abandoned(self) -> Iterator[Path]:
        """Yield the folders of dead processes. Each is locked until the next one is asked for."""
        try:
            entries = sorted(os.scandir(self.root), key=lambda entry: entry.name)
        except FileNotFoundError:
            return
        for entry in entries:
            if (lock := try_lock(Path(entry.path))) is not None:
                try:
                    yield Path(entry.path)
                finally:
                    os.close(lock)

    def sweep(self) -> None:
        """Remove the folders of dead processes."""
        for path in self.abandoned():
            shutil.rmtree(path, ignore_errors=True)
