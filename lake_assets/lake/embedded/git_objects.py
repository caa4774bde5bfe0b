"""Git's own objects: pointers, trees and commits, each synced by libgit2 before it gets its name."""

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
    """Git does not hold, or cannot read, an object that a commit names."""


@dataclass(eq=False, slots=True)
class _Written:
    kind: ObjectType
    data: bytes


class GitObjects:
    """The object database of a repository, which remembers what a ref is about to reach.

    What is written may be there already, by a process that has not come to its sync yet, or as garbage that is
    about to be collected: before a ref moves it is looked for once more, and synced.
    """

    def __init__(self, repository: pygit2.Repository) -> None:
        self._repository = repository
        self._folder = Path(repository.path) / "objects"
        # Another process may have made the repository just now.
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
        """Return the id of what a tree holds by that name, and whether it is a tree, without reading the rest of it."""
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
        """Store a commit; no branch moves."""
        made = self._repository.create_commit(None, author, author, text, pygit2.Oid(raw=tree), list(parents))
        commit = self._repository[made].peel(GitCommit)
        self._written(made, ObjectType.COMMIT, commit.read_raw())
        return commit

    def _written(self, made: pygit2.Oid, kind: ObjectType, data: bytes) -> bytes:
        with self._mutex:
            self._pending[str(made)] = _Written(kind, data)
        return made.raw

    def put_back(self) -> None:
        """Write what was collected since it was written; while the lock of refs is held nothing is collected."""
        with self._mutex:
            waiting = dict(self._pending)
        for name, written in waiting.items():
            if not (self._folder / name[:2] / name[2:]).exists():
                # Or it is in a pack, and this writes nothing.
                self._repository.odb.write(written.kind, written.data)

    def sync(self) -> None:
        """Sync the folders of all that was written since the last time."""
        with self._mutex:
            waiting = dict(self._pending)
        folders = {self._folder / name[:2] for name in waiting}
        sync_all(folder for folder in [*self._new_folders, self._folder, *folders] if folder.is_dir())
        self._new_folders = set()
        # Only now, and not what was written again meanwhile: other threads rely on it as well.
        with self._mutex:
            self._pending = {
                name: written for name, written in self._pending.items() if written is not waiting.get(name)
            }

    def forget_all(self) -> None:
        """Let every process forget what it has read: some of it has just been collected."""
        self._collected.touch()
        self.refresh()

    def refresh(self) -> None:
        """Forget what was read, if something was collected since."""
        if (last := self._last_collection()) != self._known_collection:
            self._known_collection = last
            self._repository.free()
            self.entry.cache_clear()

    def _last_collection(self) -> int:
        try:
            return self._collected.stat().st_mtime_ns
        except FileNotFoundError:
            return 0
