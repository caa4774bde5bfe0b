"""Refs: a damaged one is put back to where its reflog, or a backup, says that it was."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import pygit2
from pygit2 import Commit as GitCommit
from pygit2.enums import ObjectType

from lake_assets.lake.audit import RECORD
from lake_assets.lake.contract import MAIN
from lake_assets.lake.embedded import trailers
from lake_assets.lake.embedded.durability import sync
from lake_assets.lake.embedded.reflog import entries
from lake_assets.lake.embedded.refs import names_of
from lake_assets.lake.embedded.repairs.finding import Finding, put_aside

_CONTENT = re.compile(r"(?:([0-9a-f]{40})|ref: refs/\S+)\s*")
_MAIN = f"refs/heads/{MAIN}"


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
        self._backup = backup
        self._bring_back = bring_back

    def mend(self) -> Iterator[Finding]:
        """Yield the damaged refs. The caller holds the lock of refs."""
        for name in sorted({_MAIN, *names_of(self._repository)}):
            if (what := self._fault(name)) is not None:
                yield self._mended(name, what)

    def _fault(self, name: str) -> str | None:
        path = self._git_dir / name
        if path.is_file():
            match = _CONTENT.fullmatch(path.read_text(errors="replace"))
            if match is None:
                return f"lake.git/{name} was damaged"
            if match[1] is None:
                return None
        target = self._target(name)
        if target is None:
            return f"lake.git/{name} was missing" if name == _MAIN else None
        return None if self._bring_back(target) else f"commit {target} of lake.git/{name} is lost"

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
                return Finding(what, f"it is at {commit} again, {source}")
            # It was there. To go back further would hide commits, so a person decides that.
            return Finding(what, remedy=f"restore it by `lake-assets doctor --repair --from BACKUP`{self._older(name)}")
        if name == _MAIN:
            return Finding(what, remedy="restore the lake by `lake-assets doctor --repair --from BACKUP`")
        remedy = f"if nobody needs it any more, delete the file lake.git/{name}"
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
        for when, _, after in reversed(entries(self._git_dir / "logs" / name)):
            yield after, f"where its reflog saw it at {_date(when)}"
        if name == _MAIN:
            for commit in self._audited():
                yield commit, "the newest commit with an audit that there is; no reflog was left"
        if self._backup is not None:
            reference = pygit2.Repository(str(self._backup)).references.get(name)
            if reference is not None:
                yield str(reference.resolve().target), "as in the backup"

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
    return f"{datetime.fromtimestamp(when, timezone.utc):%Y-%m-%d %H:%M:%SZ}"
