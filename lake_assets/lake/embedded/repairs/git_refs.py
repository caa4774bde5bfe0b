"""Refs: a damaged one is put back to where its reflog, or a backup, says that it was."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pygit2
from pygit2 import Commit as GitCommit
from pygit2.enums import ObjectType

from lake_assets.lake.audit import RECORD
from lake_assets.lake.contract import MAIN
from lake_assets.lake.embedded import trailers
from lake_assets.lake.embedded.durability import sync
from lake_assets.lake.embedded.git_objects import GitObjects, NotACommitError, ObjectMissingError
from lake_assets.lake.embedded.history import descends
from lake_assets.lake.embedded.packs import open_repository
from lake_assets.lake.embedded.reflog import entries, is_cut
from lake_assets.lake.embedded.refs import HEADS, PROTECTED, deleted_in, names_of
from lake_assets.lake.embedded.repairs.finding import Finding, put_aside
from lake_assets.lake.moments import utc
from lake_assets.lake.names import is_temporary

_CONTENT = re.compile(r"(?:([0-9a-f]{40})|ref: (refs/\S+))\s*")
_MAIN = HEADS + MAIN
_FROM = "`lake-assets doctor --repair --from BACKUP`"


class GitRefs:
    """The refs of a repository.

    Parameters
    ----------
    repository
        The repository.
    backup
        Folder of another copy of it.
    bring_back
        Brings a Git object back if it is lost, and tells whether it is there.
    """

    def __init__(self, repository: pygit2.Repository, backup: Path | None, bring_back: Callable[[str], bool]) -> None:
        self._repository = repository
        self._git_dir = Path(repository.path)
        self._backup = open_repository(backup) if backup is not None else None
        self._objects = [GitObjects(each) for each in (repository, self._backup) if each is not None]
        self._bring_back = bring_back
        self._deleted = {commit for _, commit in deleted_in(self._git_dir)}

    def mend(self) -> Iterator[Finding]:
        """Yield the damaged refs. The caller holds the lock of refs."""
        there = names_of(self._repository)
        for name in sorted({_MAIN, *there}):
            if (what := self._fault(name)) is not None:
                yield self._mended(name, what)
        for name in sorted({*self._logged(), *self._in_backup()} - there - {_MAIN}):
            if self._is_lost(name):
                yield self._mended(name, f"lake.git/{name} was missing")

    def _fault(self, name: str) -> str | None:
        path = self._git_dir / name
        if path.is_file():
            match = _CONTENT.fullmatch(path.read_text(errors="replace"))
            if match is None:
                return f"lake.git/{name} was damaged"
            if match[2] is not None:
                return self._symbolic_fault(name, match[2])
        target = self._target(name)
        if target is None:
            return f"lake.git/{name} was missing" if name == _MAIN else None
        return None if self._bring_back(target) else f"commit {target} of lake.git/{name} is lost"

    def _symbolic_fault(self, name: str, other: str) -> str | None:
        """Return what is wrong with a ref that refers to another one. Only a foreign ref may do so."""
        if name == _MAIN:
            return f"lake.git/{name} was damaged: it refers to {other}"
        seen = {name}
        while other not in seen:
            # One that leads to a ref that does not exist is somebody's, and harms nothing.
            path = self._git_dir / other
            match = _CONTENT.fullmatch(path.read_text(errors="replace")) if path.is_file() else None
            if match is None or match[2] is None:
                return None
            seen.add(other)
            other = match[2]
        return f"lake.git/{name} refers to itself"

    def _logged(self) -> Iterator[str]:
        """Yield the names that have a reflog. Deleting a branch removes its reflog first."""
        logs = self._git_dir / "logs"
        return (str(path.relative_to(logs)) for path in (logs / HEADS).rglob("*") if path.is_file())

    def _in_backup(self) -> Iterator[str]:
        """Yield the names of the backup's refs, except temporary branches, which may have been published since."""
        for name in self._backup.listall_references() if self._backup is not None else ():
            if not is_temporary(name.removeprefix(HEADS)):
                yield name

    def _is_lost(self, name: str) -> bool:
        """Tell whether a ref that is not there was lost, and not deleted."""
        if name.startswith(PROTECTED):
            return HEADS + name.removeprefix(PROTECTED) in self._repository.references
        newest = next(self._candidates(name), None)
        if newest is None or newest[0] in self._deleted:
            return False
        # A backup has it as it was some time before it was deleted.
        return not any(self._descends(commit, newest[0]) for commit in self._deleted if commit in self._repository)

    def _target(self, name: str) -> str | None:
        try:
            target = self._repository.references[name].target
        except (KeyError, ValueError, pygit2.GitError):
            return None
        return str(target) if isinstance(target, pygit2.Oid) else None

    def _mended(self, name: str, what: str) -> Finding:
        for commit, source in self._candidates(name):
            if self._bring_back(commit):
                self._set(name, commit)
                return Finding(what, f"it is at {commit} again, {source}{self._newer(name, commit)}")
            # It was there. To go back further would hide commits, so a person decides that.
            return Finding(what, remedy=f"restore it by {_FROM}{self._older(name)}")
        if name == _MAIN:
            return Finding(what, remedy=f"restore the lake by {_FROM}")
        remedy = f"restore it by {_FROM}, or, if nobody needs it any more, delete the file lake.git/{name}"
        return Finding(what, remedy=f"neither its reflog nor a backup tells where it was; {remedy}")

    def _set(self, name: str, commit: str) -> None:
        path = self._git_dir / name
        if path.is_file():
            put_aside(self._git_dir, path)
        new = path.with_name(f"{path.name}.new")
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(f"{commit}\n")
        sync(new)
        new.replace(path)
        sync(path.parent)

    def _candidates(self, name: str) -> Iterator[tuple[str, str]]:
        """Yield the commits that a ref may have been at, the likeliest first, each with what says so."""
        log = self._git_dir / "logs" / name
        known = list(reversed(entries(log)))
        in_backup = self._commit_in_backup(name)
        if in_backup and known and is_cut(log) and self._descends(in_backup, known[0][2]):
            yield in_backup, "as in the backup, which is newer than its reflog"
        for when, _, after in known:
            yield after, f"where its reflog saw it at {_date(when)}"
        if name == _MAIN:
            for commit in self._audited():
                yield commit, "the newest commit with an audit that there is; no reflog was left"
        if in_backup:
            yield in_backup, "as in the backup"

    def _commit_in_backup(self, name: str) -> str:
        with suppress(KeyError, ValueError, pygit2.GitError):
            if self._backup is not None:
                return str(self._backup.references[name].resolve().target)
        return ""

    def _descends(self, commit: str, ancestor: str) -> bool:
        """Tell whether a commit comes after another one."""
        if commit == ancestor or not (self._bring_back(commit) and self._bring_back(ancestor)):
            return False
        for objects in self._objects:
            with suppress(ObjectMissingError, NotACommitError):
                return descends(pygit2.Oid(hex=commit), pygit2.Oid(hex=ancestor), objects.commit)
        return False

    def _newer(self, name: str, commit: str) -> str:
        """Describe what a ref may lack, since the last line of its reflog was cut. Empty if nothing."""
        if not is_cut(self._git_dir / "logs" / name):
            return ""
        newer = [found for found in self._audited() if self._descends(found, commit)] if name == _MAIN else []
        command = f": `git -C lake.git update-ref {name} {newer[0]}` takes the newest that is there" if newer else ""
        return f"; but the reflog's last line was cut, so it may lack what came later{command}"

    def _older(self, name: str) -> str:
        """Describe how to put a ref back to the newest commit before, of those that are left."""
        for when, commit, _ in reversed(entries(self._git_dir / "logs" / name)):
            if self._bring_back(commit):
                command = f"git -C lake.git update-ref {name} {commit}"
                return f", or go back to where it was before {_date(when)} by `{command}`"
        return ""

    def _audited(self) -> list[str]:
        """Return the commits that only a merge into ``main`` makes, the newest first.

        A merge into a working branch has an audit, too, and names its branch.
        """
        found: list[tuple[int, str]] = []
        inner: set[str] = set()
        for object_id in self._repository:
            try:
                there = self._repository[object_id]
            except (KeyError, pygit2.GitError):
                continue
            if there.type != ObjectType.COMMIT:
                continue
            commit = there.peel(GitCommit)
            metadata = trailers.parse(commit.message).metadata
            if RECORD in metadata and metadata.get("branch", MAIN) == MAIN:
                found.append((commit.commit_time, str(commit.id)))
                inner.update(str(parent) for parent in commit.parent_ids)
        return [name for _, name in sorted(found, key=lambda item: (item[1] not in inner, item), reverse=True)]


def _date(when: float) -> str:
    return f"{utc(when):%Y-%m-%d %H:%M:%SZ}"
