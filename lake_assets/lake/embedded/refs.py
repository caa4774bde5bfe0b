"""Branches and tags: one lock for every change, and compare-and-swap under it.

The holder of the lock also removes a ref's ``.lock`` file that a killed process left behind. Refs are never forced.
The objects that a ref will reach are synced before it moves. libgit2 syncs the ref's own file and folder.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path

import pygit2
from pygit2 import Commit as GitCommit
from pygit2.enums import ObjectType

from lake_assets.lake import names
from lake_assets.lake.contract import MAIN
from lake_assets.lake.embedded.durability import sync
from lake_assets.lake.embedded.git_objects import GitObjects, NotACommitError, ObjectMissingError
from lake_assets.lake.embedded.locks import locked
from lake_assets.lake.embedded.reflog import NOTHING, logged, note
from lake_assets.lake.errors import AlreadyExists, DataCorrupted, LakeError, LakeUnavailable, RefNotFound
from lake_assets.lake.permissions import UMASK, Sharing

STALE_AFTER = 5.0
"""Seconds after which a ref's ``.lock`` file counts as left behind. Plain Git holds one for milliseconds."""

HEADS, _TAGS = "refs/heads/", "refs/tags/"
PROTECTED = "refs/protected/"
"""A ref of this folder for each working branch, at the commit where it began."""
_GRAVEYARD = "lake_assets.deleted"
_SHORTEST_ID = 7
_DELETED = re.compile(r"^([0-9]{1,12}\.[0-9]+) ([0-9a-f]{40})$", re.MULTILINE)
_ATTEMPTS = 100


def names_of(repository: pygit2.Repository) -> set[str]:
    """Return the full names of all refs, also of damaged ones, which libgit2 leaves out."""
    git_dir = Path(repository.path)
    files = (path for path in (git_dir / "refs").rglob("*") if path.is_file() and path.suffix != ".lock")
    return {*repository.listall_references(), *(str(path.relative_to(git_dir)) for path in files)}


def deleted_in(git_dir: Path) -> list[tuple[float, str]]:
    """Return when branches were deleted, each with the commit that it had.

    Parameters
    ----------
    git_dir
        Folder of the repository.
    """
    try:
        text = (git_dir / _GRAVEYARD).read_text(errors="replace")
    except FileNotFoundError:
        return []
    # A full disk or a power loss may have cut a line.
    return [(float(match[1]), match[2]) for match in _DELETED.finditer(text)]


class Refs:
    """The refs of the repository at ``git_dir``.

    Parameters
    ----------
    repository
        The repository.
    objects
        Its objects.
    git_dir
        Its folder.
    name
        The lake's name in errors.
    sharing
        Who may use its files.
    """

    def __init__(
        self, repository: pygit2.Repository, objects: GitObjects, git_dir: Path, name: str, sharing: Sharing = UMASK
    ) -> None:
        self._sharing = sharing
        self._repository = repository
        self._objects = objects
        self._git_dir = git_dir
        self._graveyard = git_dir / _GRAVEYARD
        self._name = name

    def branches(self) -> tuple[str, ...]:
        """Return the names of all branches whose commit can be told, sorted. Plain Git's may have slashes."""
        return self._commits_in(HEADS)

    def tags(self) -> dict[str, str]:
        """Return the commit id of each tag, sorted by name. Tags of something else than a commit are left out."""
        found = {name: self._find(_TAGS + name) for name in self._commits_in(_TAGS)}
        return {name: str(commit.id) for name, commit in found.items() if commit is not None}

    def _commits_in(self, folder: str) -> tuple[str, ...]:
        names_of_refs = (name for name in self._repository.listall_references() if name.startswith(folder))
        return tuple(sorted(name[len(folder) :] for name in names_of_refs if self._is_of_commit(name)))

    def _is_of_commit(self, full_name: str) -> bool:
        try:
            return self._find(full_name) is not None
        except (LakeError, ObjectMissingError):
            return False

    def resolve(self, ref: str) -> GitCommit:
        """Return the commit of a branch, a tag, another ref by its full name, or a commit id, in this order.

        The id may be abbreviated.
        """
        self._objects.refresh()
        if not names.is_commit_id(ref) and ref != "HEAD":
            # Branches and tags have one name each, as on lakeFS.
            foreign = ref.startswith("refs/") and not ref.startswith((HEADS, _TAGS))
            for folder in ("",) if foreign else (HEADS, _TAGS):
                if (found := self._find(folder + ref)) is not None:
                    return found
        if len(ref) >= _SHORTEST_ID and not set(ref) - set("0123456789abcdef"):
            try:
                self._objects.check_prefix(ref)
                found = self._repository[ref]
            except (KeyError, ValueError):
                found = None
            if found is not None and found.type == ObjectType.COMMIT:
                return found.peel(GitCommit)
        if ref == MAIN:
            raise self._damaged(HEADS + MAIN, "missing")
        raise RefNotFound("no branch, tag or commit of this name", repository=self._name, ref=ref)

    def branch(self, name: str) -> GitCommit:
        """Return the head of a branch."""
        found = None if names.is_commit_id(name) else self._find(HEADS + name)
        if found is None and name == MAIN:
            raise self._damaged(HEADS + MAIN, "missing")
        if found is None:
            raise RefNotFound("no branch of this name: create it first", repository=self._name, ref=name)
        return found

    def _find(self, full_name: str) -> GitCommit | None:
        """Return the commit of a ref. None if there is no such ref.

        Raises
        ------
        RefNotFound
            It is a ref of something else than a commit.
        DataCorrupted
            Its file is damaged.
        ObjectMissingError
            Its commit is.
        """
        if not pygit2.reference_is_valid_name(full_name):
            return None
        self._objects.refresh()
        try:
            found = self._repository.references.get(full_name)
        except pygit2.GitError as error:
            if "corrupted loose reference" in str(error):
                raise self._damaged(full_name, "damaged") from error
            raise
        if found is None:
            return None
        try:
            target = found.resolve().target
        except KeyError as error:
            reason = f"it refers to {found.target}, which does not exist: delete the file lake.git/{full_name}"
            raise RefNotFound(reason, repository=self._name, ref=full_name) from error
        assert isinstance(target, pygit2.Oid)
        try:
            return self._objects.commit(target)
        except NotACommitError as error:
            raise RefNotFound(f"it names {error}, not a commit", repository=self._name, ref=full_name) from error

    def _damaged(self, full_name: str, how: str) -> DataCorrupted:
        reason = f"lake.git/{full_name} is {how}: `lake-assets doctor --repair` restores it from its reflog or a backup"
        return DataCorrupted(reason, repository=self._name, ref=full_name.split("/", 2)[-1])

    def is_protected(self, name: str) -> bool:
        """Tell whether only a merge changes this branch."""
        return name == MAIN or (names.is_branch(name) and PROTECTED + name in self._repository.references)

    def create_branch(self, name: str, commit: GitCommit, *, protected: bool = False) -> None:
        """Create a branch. Raise :class:`AlreadyExists` if there is one, or a tag of a working branch's name."""
        with self._changing(HEADS + name, PROTECTED + name):
            taken = [HEADS + name, *[_TAGS + name] * protected]
            if any(ref in self._repository.references for ref in taken):
                reason = "this name is taken: choose another one"
                raise AlreadyExists(reason, repository=self._name, ref=name)
            # The protection comes first, so that a killed process leaves no branch without it. One that was left
            # without its branch is replaced.
            self._unprotect(name)
            if protected:
                self._create(PROTECTED + name, commit)
            self._create(HEADS + name, commit)
            note(self._git_dir, HEADS + name, NOTHING, str(commit.id), self._sharing)

    def _unprotect(self, name: str) -> None:
        if PROTECTED + name in self._repository.references:
            self._repository.references.delete(PROTECTED + name)
            sync(self._git_dir / PROTECTED)

    def create_tag(self, name: str, commit: GitCommit) -> None:
        """Create a tag. Raise :class:`AlreadyExists` if it exists at another commit."""
        with self._changing(_TAGS + name):
            found = self._find(_TAGS + name)
            if found is None:
                self._create(_TAGS + name, commit)
            elif found.id != commit.id:
                reason = "a tag of this name exists at another commit, and tags never move: choose another name"
                raise AlreadyExists(reason, repository=self._name, ref=name)

    def _create(self, full_name: str, commit: GitCommit) -> None:
        self._objects.sync()
        name = full_name.split("/", 2)[2]
        try:
            self._repository.references.create(full_name, commit.id)
        except pygit2.AlreadyExistsError as error:
            raise AlreadyExists("this name is taken: choose another one", repository=self._name, ref=name) from error
        except pygit2.GitError as error:
            if "refs beneath" not in str(error):
                raise
            reason = f"there are branches below {name}/: choose another name"
            raise AlreadyExists(reason, repository=self._name, ref=name) from error

    def delete_branch(self, name: str) -> None:
        """Delete a branch. Raise :class:`RefNotFound` if there is none."""
        with self._changing(HEADS + name, PROTECTED + name):
            self._note_deleted(self.branch(name))
            self._repository.references.delete(HEADS + name)
            sync(self._git_dir / HEADS)
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
        with self._changing(HEADS + name):
            self._objects.put_back()
            for _ in range(_ATTEMPTS):
                head = self.branch(name)
                commit = successor(head)
                if commit is None:
                    return head
                reference = self._repository.references[HEADS + name]
                if reference.target != head.id:
                    continue
                self._objects.sync()
                note(self._git_dir, HEADS + name, str(head.id), str(commit.id), self._sharing)
                try:
                    reference.set_target(commit.id)
                except pygit2.GitError:
                    if self.branch(name).id == head.id:
                        raise
                    continue
                return commit
        reason = "another program keeps moving this branch: stop it and run again"
        raise LakeUnavailable(reason, repository=self._name, ref=name)

    def roots(self, since: float) -> set[bytes]:
        """Return the ids in all refs, and those that refs have lost.

        Parameters
        ----------
        since
            Branches that were deleted after this time count, and so do entries of reflogs.

        Raises
        ------
        DataCorrupted
            A ref is damaged, so nobody can tell what it needs.
        """
        return self._named((*deleted_in(self._git_dir), *logged(self._git_dir)), since)

    def commits(self, since: float) -> list[GitCommit]:
        """Return the commits of all refs, and of branches that were deleted after a time.

        Parameters
        ----------
        since
            The time.

        Raises
        ------
        DataCorrupted
            A ref is damaged, so nobody can tell what it needs.
        """
        found: list[GitCommit] = []
        for root in self._named(deleted_in(self._git_dir), since):
            with suppress(NotACommitError):
                found.append(self._objects.commit(pygit2.Oid(raw=root)))
        return found

    def _named(self, left: Iterable[tuple[float, str]], since: float) -> set[bytes]:
        found = {object_id for name in names_of(self._repository) if (object_id := self._target(name))}
        known = {pygit2.Oid(hex=name) for when, name in left if when > since}
        return {object_id.raw for object_id in found} | {
            object_id.raw for object_id in known if object_id in self._repository.odb
        }

    def _target(self, full_name: str) -> pygit2.Oid | None:
        try:
            found = self._repository.references[full_name].resolve().target
        except KeyError:
            return None  # Deleted meanwhile, or it refers to a ref that does not exist.
        except pygit2.GitError as error:
            raise self._damaged(full_name, "damaged") from error
        return found if isinstance(found, pygit2.Oid) else None

    def _note_deleted(self, head: GitCommit) -> None:
        """Record the head of a deleted branch. It stays for the grace time of garbage collection."""
        # Begin a new line, since a full disk may have cut the one before.
        with self._graveyard.open("ab") as file:
            file.write(f"\n{time.time()} {head.id}\n".encode())
            file.flush()
            os.fsync(file.fileno())

    def forget_deleted(self, before: float) -> None:
        """Forget the branches that were deleted before a time. The caller holds the lock."""
        kept = [f"{when} {name}\n" for when, name in deleted_in(self._git_dir) if when > before]
        new = self._graveyard.with_suffix(".new")
        new.write_text("".join(kept))
        self._sharing.adjust(new)
        sync(new)
        new.replace(self._graveyard)

    @contextmanager
    def frozen(self) -> Generator[None]:
        """Hold the lock of refs. No process of the lake moves a ref meanwhile."""
        with locked(self._git_dir / "lake_assets.lock", self._sharing):
            yield

    @contextmanager
    def _changing(self, *full_names: str) -> Generator[None]:
        with self.frozen():
            for name in (*full_names, "packed-refs"):
                self._remove_stale(self._git_dir / f"{name}.lock")
            yield
            for name in full_names:
                self._share(name)

    def _share(self, full_name: str) -> None:
        """Give the files that libgit2 made for a ref their permissions."""
        for folder in (self._git_dir, self._git_dir / "logs"):
            path = folder / full_name
            self._sharing.adjust(path, *(above for above in path.parents if above.is_relative_to(folder)))
        self._sharing.adjust(self._git_dir / "packed-refs", self._graveyard)

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
