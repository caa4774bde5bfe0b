"""Ways in which files are damaged, and a lake whose files are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lake_assets.lake.embedded import GitLake
from lake_assets_tests.audits import TESTS
from lake_assets_tests.lake.backends import put

FILES = {"a": "11", "b/c": "22"}


def published(home: Path) -> GitLake:
    """Make a lake with the branches ``main`` and ``work``, both with :data:`FILES` in the folder ``stocks``."""
    lake = GitLake(home)
    lake.create_branch("work", "main")
    put(lake, "work", "stocks", FILES)
    lake.merge("work", "main", audit=TESTS)
    return lake


def overwrite(path: Path, data: bytes) -> None:
    """Write bytes into a file, also one that is read-only."""
    path.chmod(0o644)
    path.write_bytes(data)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    if data:
        data[len(data) // 2] ^= 1
        overwrite(path, bytes(data))


DAMAGES: dict[str, Callable[[Path], None]] = {
    "emptied": lambda path: overwrite(path, b""),
    "cut": lambda path: overwrite(path, path.read_bytes()[:-1]),
    "halved": lambda path: overwrite(path, path.read_bytes()[: path.stat().st_size // 2]),
    "flipped": _flip,
    "zeroed": lambda path: overwrite(path, bytes(path.stat().st_size)),
    "removed": lambda path: path.unlink(),
}


def object_of(lake: GitLake, ref: str, path: str) -> Path:
    """Return the data object of a file."""
    return Path(next(lake.list(ref, path)).physical_address.removeprefix("file://"))


def git_object(lake: GitLake, name: str) -> Path:
    """Return the file of a loose Git object."""
    return Path(lake.repository, "lake.git", "objects", name[:2], name[2:])
