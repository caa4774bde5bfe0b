"""Expiry: data objects that only old commits hold are removed. The commits, their trees and pointers stay.

Removed objects are recorded first, so that they can be distinguished from damage later. If the same bytes are written
again, they are available again in every commit that holds them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

import pygit2
from pygit2 import Commit as GitCommit

from lake_assets.lake.contract import MAIN, Holder, Removable
from lake_assets.lake.embedded.commits import Commits
from lake_assets.lake.embedded.gc import Collector, Reached
from lake_assets.lake.embedded.git_objects import GitObjects
from lake_assets.lake.embedded.history import merge_base
from lake_assets.lake.embedded.objects import Objects
from lake_assets.lake.embedded.refs import Refs
from lake_assets.lake.permissions import UMASK, Sharing


class ExpiryRecord:
    """The record of expired data objects: one line for each, with the time."""

    def __init__(self, path: Path, sharing: Sharing = UMASK) -> None:
        self._path = path
        self._sharing = sharing

    def when(self, sha256: str) -> str | None:
        """Return when an object last expired, or None if it never did."""
        with suppress(FileNotFoundError), self._path.open(errors="replace") as lines:
            found = [line.split() for line in lines if line.startswith(f"{sha256} ")]
            return found[-1][-1] if found else None
        return None

    def note(self, objects: Iterable[str], now: datetime) -> None:
        """Record objects that are about to be removed. The record is synced on return."""
        with self._path.open("ab") as file:
            file.write("".join(f"\n{name} {now:%Y-%m-%dT%H:%M:%SZ}\n" for name in objects).encode())
            file.flush()
            os.fsync(file.fileno())
        self._sharing.adjust(self._path)


class UnknownPrefixError(Exception):
    """No commit has ever had data at a prefix that is to be kept. It may be misspelt, so nothing is removed."""

    def __init__(self, prefixes: Sequence[str]) -> None:
        self.prefixes = prefixes
        super().__init__(", ".join(prefixes))


@dataclass(slots=True)
class _Survey:
    """The state of the lake: the heads of refs, all commits, the objects they hold, and those that are needed."""

    heads: set[pygit2.Oid]
    history: set[pygit2.Oid]
    needed: Reached = field(default_factory=Reached)
    held: Reached = field(default_factory=Reached)


class Expiry:
    """Expires the data of one lake."""

    def __init__(
        self,
        *,
        git_objects: GitObjects,
        objects: Objects,
        commits: Commits,
        refs: Refs,
        collector: Collector,
        record: ExpiryRecord,
    ) -> None:
        self._git_objects = git_objects
        self._objects = objects
        self._commits = commits
        self._refs = refs
        self._collector = collector
        self._record = record

    def run(
        self,
        before: datetime,
        keep: Iterable[GitCommit],
        from_commits: Iterable[GitCommit],
        prefixes: Iterable[str],
        yes: bool,
    ) -> Removable:
        """Find the data that expire, and remove them if ``yes``; see :meth:`GitLake.expire`."""
        keep, from_commits = list(keep), list(from_commits)
        survey = self._survey(before, keep, from_commits, list(prefixes))
        if not yes:
            return self._explained(_summary(self._expired(survey)), before, keep, from_commits)
        # No ref moves meanwhile, so none can start to need data that are about to be removed.
        with self._refs.frozen():
            self._update(survey, before)
            found = list(self._expired(survey))
            self._record.note((path.name for path, _ in found), datetime.now(timezone.utc))
            for path, _ in found:
                path.unlink(missing_ok=True)
        return self._explained(_summary(found), before, keep, from_commits)

    def _explained(
        self, found: Removable, before: datetime, keep: list[GitCommit], from_commits: list[GitCommit]
    ) -> Removable:
        """Add what needs old data, where nothing expires."""
        return found if found.count else replace(found, held_by=tuple(self._holders(before, keep, from_commits)))

    def _holders(self, before: datetime, keep: list[GitCommit], from_commits: list[GitCommit]) -> Iterator[Holder]:
        main = self._refs.branch(MAIN)
        history = self._history([main], ())
        needs: list[tuple[str, GitCommit, set[pygit2.Oid]]] = []
        for name in self._refs.branches():
            head = self._refs.branch(name)
            needs.append((f"branch {name}", head, {head.id}))
            began = self._merge_bases([head]) if name != MAIN else ()
            needs += [(f"beginning of branch {name}", commit, {commit.id}) for commit in began]
        for name, commit in self._refs.tags().items():
            tagged = self._git_objects.commit(pygit2.Oid(hex=commit))
            needs.append((f"tag {name}", tagged, {tagged.id}))
        needs += [("--keep", commit, {commit.id}) for commit in keep]
        for commit in from_commits:
            newer = history.keys() - self._history([commit], ()).keys()
            needs.append(("sink", commit, newer | {commit.id}))
        young = {name: commit for name, commit in history.items() if commit.commit_time >= before.timestamp()}
        if young:
            oldest = min(young.values(), key=lambda commit: commit.commit_time)
            needs.append(("commits that are not older", oldest, set(young)))
        current = self._data([main.id])
        for what, commit, needed in sorted(needs, key=lambda need: need[1].commit_time):
            if any(self._file(name).exists() for name in self._data(needed) - current):
                yield Holder(what, str(commit.id))

    def _data(self, commits: Iterable[pygit2.Oid]) -> set[str]:
        reached = Reached()
        self._collector.reach((self._tree(name) for name in commits), reached)
        return reached.data

    def _file(self, sha256: str) -> Path:
        return self._objects.root / sha256[:2] / sha256[2:4] / sha256

    def _survey(
        self, before: datetime, keep: list[GitCommit], from_commits: list[GitCommit], prefixes: list[str]
    ) -> _Survey:
        """Find the objects that commits hold, and those that are needed. Runs may continue meanwhile."""
        heads = self._heads(before)
        history = self._history(heads, ())
        kept = {commit.id for commit in [*heads, *keep, *from_commits, *self._merge_bases(heads)]}
        kept |= {name for name, commit in history.items() if commit.commit_time >= before.timestamp()}
        for sink in from_commits:
            kept |= history.keys() - self._history([sink], ()).keys()
        survey = _Survey({head.id for head in heads}, set(history))
        self._collector.reach((self._tree(name) for name in kept), survey.needed)
        known = set[str]()
        for commit in history.values() if prefixes else ():
            nodes = {prefix: node for prefix in prefixes if (node := self._commits.node(commit, prefix))}
            known |= nodes.keys()
            self._collector.reach((node.id for node in nodes.values()), survey.needed)
        if unknown := [prefix for prefix in prefixes if prefix not in known]:
            raise UnknownPrefixError(unknown)
        self._collector.reach((commit.tree_id.raw for commit in history.values()), survey.held)
        return survey

    def _update(self, survey: _Survey, before: datetime) -> None:
        """Add the objects that new or moved refs need: of their heads, their merge bases and all new commits."""
        heads = [head for head in self._heads(before) if head.id not in survey.heads]
        new = self._history(heads, survey.history).keys()
        kept = {commit.id for commit in [*heads, *self._merge_bases(heads)]} | new
        self._collector.reach((self._tree(name) for name in kept), survey.needed)

    def _expired(self, survey: _Survey) -> Iterator[tuple[Path, int]]:
        for sha256 in sorted(survey.held.data - survey.needed.data):
            path = self._file(sha256)
            with suppress(FileNotFoundError):
                yield path, path.stat().st_blocks * 512

    def _heads(self, before: datetime) -> list[GitCommit]:
        return self._refs.commits(before.timestamp())

    def _history(self, heads: Iterable[GitCommit], hidden: Iterable[pygit2.Oid]) -> dict[pygit2.Oid, GitCommit]:
        """Return the heads and their ancestors, without the hidden commits and their ancestors."""
        found: dict[pygit2.Oid, GitCommit] = {}
        waiting = list(heads)
        seen = set(hidden)
        while waiting:
            commit = waiting.pop()
            if commit.id not in seen:
                seen.add(commit.id)
                found[commit.id] = commit
                waiting += self._git_objects.parents(commit)
        return found

    def _merge_bases(self, heads: Iterable[GitCommit]) -> Iterator[GitCommit]:
        """Yield the commits of ``main`` at which the branches began."""
        main = self._refs.branch(MAIN)
        for head in heads:
            if base := merge_base(main, head, self._git_objects.commit):
                yield base

    def _tree(self, name: pygit2.Oid) -> bytes:
        return self._git_objects.commit(name).tree_id.raw


def _summary(found: Iterable[tuple[Path, int]]) -> Removable:
    sizes = [size for _, size in found]
    return Removable("data object that only expired commits hold", len(sizes), sum(sizes))
