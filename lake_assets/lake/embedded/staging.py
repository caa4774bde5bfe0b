"""Collecting the files of a write for its commit."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from lake_assets.lake import names
from lake_assets.lake.errors import LakeUnavailable, WriteRefused


@contextmanager
def not_removed(folder: Path, repository: str, branch: str, prefix: str) -> Generator[None]:
    """Refuse a write whose folder is removed meanwhile, such as by a cleaner of temporary files.

    An engine may have made it again, so that only some of the files would be committed.

    Parameters
    ----------
    folder
        Folder of the write.
    repository, branch, prefix
        What is written, for errors.

    Raises
    ------
    LakeUnavailable
        The folder was removed.
    """
    born = folder.stat()

    def refuse(cause: Exception | None) -> None:
        with suppress(FileNotFoundError):
            if os.path.samestat(born, folder.stat()):
                return
        reason = "the folder of this write was removed meanwhile, so nothing was committed: run it again"
        raise LakeUnavailable(reason, repository=repository, ref=branch, path=prefix) from cause

    try:
        yield
    except Exception as error:
        refuse(error)
        raise
    refuse(None)


def collect(place: Path, prefix: str, partitions: Sequence[str] | None, repository: str) -> dict[str, Path]:
    """Return the data files of a write by their path in the lake. Marker files of engines are left out.

    Parameters
    ----------
    place
        The folder that was written.
    prefix
        Path of this folder in the lake.
    partitions
        Folders below it that may have files. None for all.
    repository
        Name of the lake, for errors.

    Raises
    ------
    WriteRefused
        There is an unfinished write, a file outside of ``partitions``, or something that is not a file or folder.
    InvalidName
        A file name is not allowed in the lake.
    """
    found: dict[str, Path] = {}
    folders = [(place, "")]
    while folders:
        folder, below = folders.pop()
        for entry in os.scandir(folder):
            path = f"{below}/{entry.name}" if below else entry.name

            def refuse(reason: str, path: str = path) -> WriteRefused:
                return WriteRefused(reason, repository=repository, path=f"{prefix}/{path}")

            if entry.is_symlink():
                raise refuse("a symbolic link cannot be committed: write the file itself")
            if entry.is_dir():
                if names.is_unfinished(entry.name):
                    raise refuse("an unfinished write: let the engine commit its job before the write ends")
                folders.append((Path(entry.path), path))
            elif not entry.is_file():
                raise refuse("not a file or folder: only those can be committed")
            elif not names.is_marker(entry.name, entry.stat().st_size):
                names.check_path(f"{prefix}/{path}", repository)
                if partitions is not None and not any(names.is_within(path, folder) for folder in partitions):
                    raise refuse(f"outside the partitions being written: {', '.join(partitions) or 'none'}")
                found[f"{prefix}/{path}"] = Path(entry.path)
    return found
