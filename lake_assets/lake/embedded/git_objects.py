"""Git objects: pointers, trees and commits. libgit2 syncs each of them before renaming it into place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock

import pygit2
from pygit2 import Commit as GitCommit
from pygit2.enums import ObjectType

from lake_assets.lake.embedded.durability import sync_all


class ObjectMissingError(Exception):
    """A Git object that a commit refers to is missing or unreadable."""


@dataclass(eq=False, slots=True)
class _Written:
    kind: ObjectType
    data: bytes


class GitObjects:
    """The object database of a repository. It remembers written objects until a ref reaches them.

    An object that is written may exist already: another process may not have synced it yet, or it may be garbage that
    is about to be collected. So before a ref moves, each object is checked again and synced.
    """

    def __init__(self, repository: pygit2.Repository) -> None:
        self._repository = repository
        self._folder = Path(repository.path) / "objects"
        # Another process may just have created the repository.
        home = Path(repository.path).parent
        self._new_folders = {self._folder, home, home.parent}
        self._pending: dict[str, _Written] = {}
        self._mutex = Lock()
        self._collected = Path(repository.path) / "lake_assets.collected"
        self._known_collection = self._last_collection()
        self.entry = lru_cache(maxsize=1 << 14)(self._entry)

    def read(self, object_id: bytes) -> bytes:
        """Return the raw bytes of an object.

        Raises
        ------
        ObjectMissingError
            The repository is damaged.
        """
        return self.read_typed(object_id)[1]

    def read_typed(self, object_id: bytes) -> tuple[ObjectType, bytes]:
        """Return the kind and the raw bytes of an object."""
        try:
            kind, data = self._repository.odb.read(pygit2.Oid(raw=object_id))
            return ObjectType(kind), data
        except (KeyError, pygit2.GitError) as error:
            raise ObjectMissingError(object_id.hex()) from error

    def _entry(self, folder: bytes, name: str) -> tuple[bytes, bool] | None:
        """Return the id of a tree's entry, and whether it is a tree. The rest of the tree is not parsed."""
        try:
            found = self._repository[pygit2.Oid(raw=folder)].peel(pygit2.Tree)[name]
        except KeyError as error:
            if pygit2.Oid(raw=folder) in self._repository.odb:
                return None
            raise ObjectMissingError(folder.hex()) from error
        except pygit2.GitError as error:
            raise ObjectMissingError(folder.hex()) from error
        return found.id.raw, found.type == ObjectType.TREE

    def write(self, kind: ObjectType, data: bytes) -> bytes:
        """Store an object and return its id."""
        return self._written(self._repository.odb.write(kind, data), kind, data)

    def write_commit(
        self, author: pygit2.Signature, text: str, tree: bytes, parents: Sequence[pygit2.Oid]
    ) -> GitCommit:
        """Store a commit. No branch moves."""
        made = self._repository.create_commit(None, author, author, text, pygit2.Oid(raw=tree), list(parents))
        commit = self._repository[made].peel(GitCommit)
        self._written(made, ObjectType.COMMIT, commit.read_raw())
        return commit

    def _written(self, made: pygit2.Oid, kind: ObjectType, data: bytes) -> bytes:
        with self._mutex:
            self._pending[str(made)] = _Written(kind, data)
        return made.raw

    def put_back(self) -> None:
        """Write objects again that were collected meanwhile. The caller holds the lock of refs, so none goes after."""
        with self._mutex:
            waiting = dict(self._pending)
        for name, written in waiting.items():
            if not (self._folder / name[:2] / name[2:]).exists():
                # If the object is in a pack, this writes nothing.
                self._repository.odb.write(written.kind, written.data)

    def sync(self) -> None:
        """Sync the folders of all objects that were written since the last sync."""
        with self._mutex:
            waiting = dict(self._pending)
        folders = {self._folder / name[:2] for name in waiting}
        sync_all(folder for folder in [*self._new_folders, self._folder, *folders] if folder.is_dir())
        self._new_folders = set()
        # Forget the objects only after the sync, except those that another thread has written again meanwhile.
        with self._mutex:
            self._pending = {
                name: written for name, written in self._pending.items() if written is not waiting.get(name)
            }

    def forget_all(self) -> None:
        """Make every process drop its caches, since some cached objects have just been collected."""
        self._collected.touch()
        self.refresh()

    def refresh(self) -> None:
        """Drop the caches if garbage was collected since they were filled."""
        if (last := self._last_collection()) != self._known_collection:
            self._known_collection = last
            self._repository.free()
            self.entry.cache_clear()

    def _last_collection(self) -> int:
        try:
            return self._collected.stat().st_mtime_ns
        except FileNotFoundError:
            return 0
