"""Git's own objects: pointers, trees and commits, each synced by libgit2 before it gets its name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock

import pygit2
from pygit2 import Commit as GitCommit
from pygit2.enums import ObjectType

from lake_assets.lake.embedded.durability import sync_all


class ObjectMissingError(Exception):
    """Git does not hold, or cannot read, an object that a commit names."""


class GitObjects:
    """The object database of a repository, which remembers the folders that are to be synced before a ref moves.

    What is written may be there already, by a process that has not come to its sync yet: its folders are
    synced here, too.
    """

    def __init__(self, repository: pygit2.Repository) -> None:
        self._repository = repository
        self._odb = repository.odb
        self._folder = Path(repository.path) / "objects"
        # Another process may have made the repository just now.
        home = Path(repository.path).parent
        self._unsynced = {self._folder: 0, home: 0, home.parent: 0}
        self._writes = 0
        self._mutex = Lock()
        self.entry = lru_cache(maxsize=1 << 14)(self._entry)

    def read(self, object_id: bytes) -> bytes:
        """Return the raw bytes of an object.

        Raises
        ------
        ObjectMissingError
            The repository is damaged.
        """
        try:
            return self._odb.read(pygit2.Oid(raw=object_id))[1]
        except (KeyError, pygit2.GitError) as error:
            raise ObjectMissingError(object_id.hex()) from error

    def _entry(self, folder: bytes, name: str) -> tuple[bytes, bool] | None:
        """Return the id of what a tree holds by that name, and whether it is a tree, without reading the rest of it."""
        try:
            found = self._repository[pygit2.Oid(raw=folder)].peel(pygit2.Tree)[name]
        except KeyError as error:
            if pygit2.Oid(raw=folder) in self._odb:
                return None
            raise ObjectMissingError(folder.hex()) from error
        except pygit2.GitError as error:
            raise ObjectMissingError(folder.hex()) from error
        return found.id.raw, found.type == ObjectType.TREE

    def write(self, kind: ObjectType, data: bytes) -> bytes:
        """Store an object and return its id."""
        return self._written(self._odb.write(kind, data))

    def write_commit(
        self, author: pygit2.Signature, text: str, tree: bytes, parents: Sequence[pygit2.Oid]
    ) -> GitCommit:
        """Store a commit; no branch moves."""
        made = self._repository.create_commit(None, author, author, text, pygit2.Oid(raw=tree), list(parents))
        self._written(made)
        return self._repository[made].peel(GitCommit)

    def _written(self, made: pygit2.Oid) -> bytes:
        with self._mutex:
            self._writes += 1
            self._unsynced |= {self._folder: self._writes, self._folder / str(made)[:2]: self._writes}
        return made.raw

    def sync(self) -> None:
        """Sync the folders of all that was written since the last time."""
        with self._mutex:
            waiting = dict(self._unsynced)
        # An object that is packed already has no folder of its own.
        sync_all(path for path in waiting if path.is_dir())
        # Only now, and not what was written to meanwhile: other threads rely on it as well.
        with self._mutex:
            self._unsynced = {path: write for path, write in self._unsynced.items() if waiting.get(path) != write}
