"""What a writer left in its folder: the files to commit, or the reason why not."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lake_assets.lake import names
from lake_assets.lake.errors import WriteRefused


def collect(place: Path, prefix: str, partitions: Sequence[str] | None, repository: str) -> dict[str, Path]:
    """Return the data files under ``place`` by their path in the lake; markers of engines are left out.

    Raises
    ------
    WriteRefused
        An unfinished write, a file outside ``partitions``, or something that is neither file nor folder.
    InvalidName
        A name that the lake cannot keep.
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
                raise refuse("neither a file nor a folder")
            elif not names.is_marker(entry.name, entry.stat().st_size):
                names.check_path(f"{prefix}/{path}", repository)
                if partitions is not None and not any(names.is_within(path, folder) for folder in partitions):
                    raise refuse(f"outside the partitions being written: {', '.join(partitions) or 'none'}")
                found[f"{prefix}/{path}"] = Path(entry.path)
    return found
