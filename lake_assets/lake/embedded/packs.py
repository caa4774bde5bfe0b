"""Git's packs, which libgit2 maps into memory. To read one where its file has ended meanwhile would kill the process.

libgit2 maps a pack once for all repositories of a process, until all of them have let it go. So the process knows here
which repositories it has opened.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from threading import Lock
from weakref import WeakSet

import pygit2

_MUTEX = Lock()
_OPENED: dict[str, WeakSet[pygit2.Repository]] = {}
_KNOWN: dict[str, dict[str, tuple[int, int]]] = {}


def open_repository(git_dir: Path) -> pygit2.Repository:
    """Open a repository. No pack stays mapped that is not as it was.

    Parameters
    ----------
    git_dir
        Its folder.
    """
    repository = pygit2.Repository(str(git_dir), pygit2.enums.RepositoryOpenFlag.NO_SEARCH)
    unmap_changed(repository)
    with _MUTEX:
        _OPENED.setdefault(repository.path, WeakSet()).add(repository)
    return repository


def unmap_changed(repository: pygit2.Repository) -> dict[str, tuple[int, int]]:
    """Unmap the packs of a repository, in the whole process, if one is not as it was. Return the packs as they are.

    Parameters
    ----------
    repository
        The repository.
    """
    packs = _pack_files(Path(repository.path))
    with _MUTEX:
        # A new pack may have been mapped since, and then cut off.
        changed = _KNOWN.setdefault(repository.path, packs) != packs
        _KNOWN[repository.path] = packs
    if changed:
        unmap(repository)
    return packs


def unmap(repository: pygit2.Repository) -> None:
    """Unmap all packs of a repository in the whole process. They are mapped again when they are read.

    Parameters
    ----------
    repository
        The repository.
    """
    with _MUTEX:
        opened = list(_OPENED.get(repository.path, ()))
    for each in [repository, *opened]:
        each.free()


def _pack_files(git_dir: Path) -> dict[str, tuple[int, int]]:
    """Return the number and the size of each file of a pack. Git never changes one."""
    found: dict[str, tuple[int, int]] = {}
    # Another process may remove a pack now.
    with suppress(FileNotFoundError), os.scandir(git_dir / "objects" / "pack") as files:
        for file in files:
            with suppress(FileNotFoundError):
                status = file.stat()
                found[file.name] = (status.st_ino, status.st_size)
    return found
