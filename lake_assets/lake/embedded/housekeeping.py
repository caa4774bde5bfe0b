"""Disk space of folders."""

from __future__ import annotations

from pathlib import Path


def freed_by_removing(folder: Path) -> int:
    """Return the total size of the files below a folder that have no other hard link."""
    freed = 0
    for path in folder.rglob("*"):
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue
        if path.is_file() and status.st_nlink == 1:
            freed += status.st_size
    return freed
