"""Private folders beside the lake, each removed by its owner, or swept once its owner is dead."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lake_assets.lake.embedded.locks import try_lock


def make_folder(path: Path) -> None:
    """Make a folder with its parents, readable by all whatever the umask; an existing one is left alone."""
    if path.is_dir():
        return
    make_folder(path.parent)
    with suppress(FileExistsError):
        path.mkdir()
        path.chmod(0o755)


class Scratch:
    """Makes and sweeps private folders.

    A folder belongs to whoever holds its lock; the kernel lets go of it when the process dies, however.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def folder(self) -> Generator[Path]:
        """Yield a fresh folder of this process's own; it is removed when the context ends."""
        make_folder(self.root)
        while True:
            path = self.root / secrets.token_hex(8)
            path.mkdir()
            # A sweeper may have come between; then this folder is gone, and the next one is tried.
            if (lock := try_lock(path)) is not None:
                break
        path.chmod(0o755)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)

    def abandoned(self) -> Iterator[Path]:
        """Yield the folders of dead processes, each held while the caller has it."""
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
