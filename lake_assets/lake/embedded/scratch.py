"""Temporary folders of the lake, removed by their owner, or by another process if their owner is dead."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lake_assets.lake.embedded.locks import try_lock


def make_folder(path: Path) -> None:
    """Create a folder and its parents, readable by all regardless of the umask. Existing ones are unchanged."""
    if path.is_dir():
        return
    make_folder(path.parent)
    with suppress(FileExistsError):
        path.mkdir()
        path.chmod(0o755)


class Scratch:
    """Creates and sweeps temporary folders.

    A folder belongs to the process that holds its lock. The kernel releases the lock when the process dies.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def folder(self) -> Generator[Path]:
        """Yield a new folder. It is removed when the context ends."""
        make_folder(self.root)
        while True:
            path = self.root / secrets.token_hex(8)
            path.mkdir()
            # A sweeper may have removed it before it was locked. Then try another one.
            if (lock := try_lock(path)) is not None:
                break
        path.chmod(0o755)
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
