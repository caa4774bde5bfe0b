"""Branches and tags: one lock for every change, and compare-and-swap under it.

The holder of the lock also removes a ref's ``.lock`` file that a killed process left behind. Refs are never forced.
The objects that a ref will reach are synced before it moves. libgit2 syncs the ref's own file and folder.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pygit2
from pygit2 import Commit as GitCommit
from pygit2.enums import ObjectType

from lake_assets.lake import names
from lake_assets.lake.contract import MAIN
from lake_assets.lake.embedded.durability import sync
from lake_assets.lake.embedded.git_objects import GitObjects
from lake_assets.lake.embedded.locks import locked
from lake_assets.lake.errors import AlreadyExists, LakeUnavailable, RefNotFound

STALE_AFTER = 5.0
"""Seconds after which a ref's ``.lock`` file counts as left behind. Plain Git holds one for milliseconds."""

_HEADS, _TAGS = "refs/heads/", "refs/tags/"
_PROTECTED = "refs/protected/"
"""A ref of this folder for each working branch, at the commit where it began."""
_SHORTEST_ID = 7
_ID = re.compile("[0-9a-f]{40}")
_ATTEMPTS = 100


class Refs:
    """The refs of the repository at ``git_dir``. ``name`` is the lake's name in errors."""

    def __init__(self, repository: pygit2.Repository, objects: GitObjects, git_dir: Path, name: str) -> None:
        self._repository = repository
        self._objects = objects
        self._git_dir = git_dir
        self._graveyard = git_dir / "lake_assets.deleted"
        self._name = name

    def branches(self) -> tuple[str, ...]:
        """Return the names of all branches, sorted."""
        refs = self._repository.references.iterator()
        return tuple(sorted(ref.name[len(_HEADS) :] for ref in refs if ref.name.startswith(_HEADS)))

    def tags(self) -> dict[str, str]:
        """Return the commit id of each tag, sorted by name."""
        refs = self._repository.references.iterator()
        found = {ref.name[len(_TAGS) :]: str(ref.peel(GitCommit).id) for ref in refs if ref.name.startswith(_TAGS)}
        return dict(sorted(found.items()))

    def resolve(self, ref: str) -> GitCommit:
        """Return the commit of a branch, a tag or a commit id (also abbreviated), tried in this order."""
        self._objects.refresh()
        for allowed, folder in ((names.is_branch, _HEADS), (names.is_tag, _TAGS)):
            if allowed(ref) and (found := self._repository.references.get(folder + ref)) is not None:
                return found.peel(GitCommit)
        if len(ref) >= _SHORTEST_ID and not set(ref) - set("0123456789abcdef"):
            with suppress(KeyError, ValueError):
                found = self._repository[ref]
                if found.type == ObjectType.COMMIT:
                    return found.peel(GitCommit)
        raise RefNotFound("no branch, tag or commit of this name", repository=self._name, ref=ref)

    def branch(self, name: str) -> GitCommit:
        """Return the head of a branch."""
        found = self._repository.references.get(_HEADS + name) if names.is_branch(name) else None
        if found is None:
            raise RefNotFound("no branch of this name: create it first", repository=self._name, ref=name)
        return found.peel(GitCommit)

    def is_protected(self, name: str) -> bool:
        """Tell whether only a merge changes this branch."""
        return name == MAIN or (names.is_branch(name) and _PROTECTED + name in self._repository.references)

    def create_branch(self, name: str, commit: GitCommit, *, protected: bool = False) -> None:
        """Create a branch. Raise :class:`AlreadyExists` if there is one, or a tag of a working branch's name."""
        with self._changing(_HEADS + name, _PROTECTED + name):
            taken = [_HEADS + name, *[_TAGS + name] * protected]
            if any(ref in self._repository.references for ref in taken):
                reason = "this name is taken: choose another one"
                raise AlreadyExists(reason, repository=self._name, ref=name)
            # The protection comes first, so that a killed process leaves no branch without it. One that was left
            # without its branch is replaced.
            self._unprotect(name)
            if protected:
                self._create(_PROTECTED + name, commit)
            self._create(_HEADS + name, commit)

    def _unprotect(self, name: str) -> None:
        if _PROTECTED + name in self._repository.references:
            self._repository.references.delete(_PROTECTED + name)
            sync(self._git_dir / _PROTECTED)

    def create_tag(self, name: str, commit: GitCommit) -> None:
        """Create a tag. Raise :class:`AlreadyExists` if it exists at another commit."""
        with self._changing(_TAGS + name):
            found = self._repository.references.get(_TAGS + name)
            if found is None:
                self._create(_TAGS + name, commit)
            elif found.peel(GitCommit).id != commit.id:
                reason = "a tag of this name exists at another commit, and tags never move: choose another name"
                raise AlreadyExists(reason, repository=self._name, ref=name)

    def _create(self, full_name: str, commit: GitCommit) -> None:
        self._objects.sync()
        try:
            self._repository.references.create(full_name, commit.id)
        except pygit2.AlreadyExistsError as error:
            name = full_name.split("/", 2)[2]
            raise AlreadyExists("this name is taken: choose another one", repository=self._name, ref=name) from error

    def delete_branch(self, name: str) -> None:
        """Delete a branch. Raise :class:`RefNotFound` if there is none."""
        with self._changing(_HEADS + name, _PROTECTED + name):
            self._note_deleted(self.branch(name))
            self._repository.references.delete(_HEADS + name)
            sync(self._git_dir / _HEADS)
            self._unprotect(name)

    def advance(self, name: str, successor: Callable[[GitCommit], GitCommit | None]) -> GitCommit:
        """Move a branch from its head to a new commit, and return the new head.

        Parameters
        ----------
        name
            Name of the branch.
        successor
            Makes the new commit from the head. It returns None to leave the branch unchanged. It is called again if
            plain Git, which does not use our lock, moved the branch meanwhile.
        """
        with self._changing(_HEADS + name):
            self._objects.put_back()
            for _ in range(_ATTEMPTS):
                head = self.branch(name)
                commit = successor(head)
                if commit is None:
                    return head
                reference = self._repository.references[_HEADS + name]
                if reference.target != head.id:
                    continue
                self._objects.sync()
                try:
                    reference.set_target(commit.id)
                except pygit2.GitError:
                    if self.branch(name).id == head.id:
                        raise
                    continue
                return commit
        reason = "another program keeps moving this branch: stop it and run again"
        raise LakeUnavailable(reason, repository=self._name, ref=name)

    def roots(self, deleted_after: float) -> set[bytes]:
        """Return the commit ids in all refs, in their reflogs, and of branches that were deleted after a time."""
        found = {ref.resolve().target for ref in self._repository.references.iterator()}
        logs = (path.read_text(errors="replace") for path in (self._git_dir / "logs").rglob("*") if path.is_file())
        logged = {name for log in logs for line in log.splitlines() for name in line.split(" ", 2)[:2]}
        lost = {name for when, name in self._deleted() if when > deleted_after}
        known = (pygit2.Oid(hex=name) for name in logged | lost if _ID.fullmatch(name))
        there = {object_id for object_id in known if object_id in self._repository.odb}
        return {object_id.raw for object_id in found | there if isinstance(object_id, pygit2.Oid)}

    def _deleted(self) -> list[tuple[float, str]]:
        try:
            lines = (line.split(" ") for line in self._graveyard.read_text().splitlines())
            return [(float(line[0]), line[1]) for line in lines if len(line) == 2]
        except FileNotFoundError:
            return []

    def _note_deleted(self, head: GitCommit) -> None:
        """Record the head of a deleted branch. It stays for the grace time of garbage collection."""
        # Begin a new line, since a full disk may have cut the one before.
        with self._graveyard.open("ab") as file:
            file.write(f"\n{time.time()} {head.id}\n".encode())
            file.flush()
            os.fsync(file.fileno())

    def forget_deleted(self, before: float) -> None:
        """Forget the branches that were deleted before a time. The caller holds the lock."""
        kept = [f"{when} {name}\n" for when, name in self._deleted() if when > before]
        new = self._graveyard.with_suffix(".new")
        new.write_text("".join(kept))
        sync(new)
        new.replace(self._graveyard)

    @contextmanager
    def frozen(self) -> Generator[None]:
        """Hold the lock of refs. No process of the lake moves a ref meanwhile."""
        with locked(self._git_dir / "lake_assets.lock"):
            yield

    @contextmanager
    def _changing(self, *full_names: str) -> Generator[None]:
        with self.frozen():
            for name in (*full_names, "packed-refs"):
                self._remove_stale(self._git_dir / f"{name}.lock")
            yield

    @staticmethod
    def _remove_stale(path: Path) -> None:
        # We hold the lock of all lake processes. So this file belongs to plain Git or to a dead process.
        seen_since = time.monotonic()
        while True:
            try:
                age = time.time() - path.stat().st_mtime
            except FileNotFoundError:
                return
            if age > STALE_AFTER or time.monotonic() - seen_since > STALE_AFTER:
                path.unlink(missing_ok=True)
                return
            time.sleep(0.02)
