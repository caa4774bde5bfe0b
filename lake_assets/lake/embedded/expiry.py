"""Expiring: data objects that only old commits hold are removed; the commits, their trees and pointers stay.

What was removed is written down first, so that it is told from what is damaged ever after. Bytes that are written
again are there again, in every commit that holds them.
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
from pygit2.enums import SortMode

from lake_assets.lake.contract import MAIN, Holder, Removable
from lake_assets.lake.embedded.commits import Commits
from lake_assets.lake.embedded.gc import Collector, Reached
from lake_assets.lake.embedded.objects import Objects
from lake_assets.lake.embedded.refs import Refs


class ExpiryRecord:
    """The record of what expired: a line a data object, with the time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def when(self, sha256: str) -> str | None:
        """Return when an object expired last, or None where it never did."""
        with suppress(FileNotFoundError), self._path.open() as lines:
            found = [line.split() for line in lines if line.startswith(sha256)]
            return found[-1][1] if found else None
        return None

    def note(self, objects: Iterable[str], now: datetime) -> None:
        """Write down objects that are about to be removed; synced when it returns."""
        with self._path.open("ab") as file:
            file.write("".join(f"\n{name} {now:%Y-%m-%dT%H:%M:%SZ}\n" for name in objects).encode())
            file.flush()
            os.fsync(file.fileno())


class UnknownPrefixError(Exception):
    """Nothing that the lake has ever held lies at prefixes that are to be kept: what was meant would go for ever."""

    def __init__(self, prefixes: Sequence[str]) -> None:
        self.prefixes = prefixes
        super().__init__(", ".join(prefixes))


@dataclass(slots=True)
class _Looked:
    """What a look found: where refs were, all commits, and what those hold and what of it is needed."""

    heads: set[pygit2.Oid]
    history: set[pygit2.Oid]
    needed: Reached = field(default_factory=Reached)
    held: Reached = field(default_factory=Reached)


class Expiry:
    """What expires the data of one lake."""

    def __init__(
        self,
        repository: pygit2.Repository,
        objects: Objects,
        commits: Commits,
        refs: Refs,
        collector: Collector,
        record: ExpiryRecord,
    ) -> None:
        self._repository = repository
        self._objects = objects
        self._commits = commits
        self._refs = refs
        self._collector = collector
        self._record = record

    def run(
        self,
        before: datetime,
        keep: Iterable[GitCommit],
        since: Iterable[GitCommit],
        prefixes: Iterable[str],
        yes: bool,
    ) -> Removable:
        """Find what expires, and remove it if ``yes``; see :meth:`EmbeddedLake.expire`."""
        keep, since = list(keep), list(since)
        looked = self._look(before, keep, since, list(prefixes))
        if not yes:
            return self._explained(_summary(self._found(looked)), before, keep, since)
        # No ref moves meanwhile, so that none comes to need what is about to go.
        with self._refs.still():
            self._look_again(looked, before)
            found = list(self._found(looked))
            self._record.note((path.name for path, _ in found), datetime.now(timezone.utc))
            for path, _ in found:
                path.unlink(missing_ok=True)
        return self._explained(_summary(found), before, keep, since)

    def _explained(
        self, found: Removable, before: datetime, keep: list[GitCommit], since: list[GitCommit]
    ) -> Removable:
        """Add what needs old data, where nothing expires."""
        return found if found.count else replace(found, held_by=tuple(self._holders(before, keep, since)))

    def _holders(self, before: datetime, keep: list[GitCommit], since: list[GitCommit]) -> Iterator[Holder]:
        main = self._refs.branch(MAIN)
        history = self._history([main], ())
        needs: list[tuple[str, GitCommit, set[pygit2.Oid]]] = []
        for name in self._refs.branches():
            head = self._refs.branch(name)
            needs.append((f"branch {name}", head, {head.id}))
            began = self._beginnings([head]) if name != MAIN else ()
            needs += [(f"beginning of branch {name}", commit, {commit.id}) for commit in began]
        for name, commit in self._refs.tags().items():
            tagged = self._repository[commit].peel(GitCommit)
            needs.append((f"tag {name}", tagged, {tagged.id}))
        needs += [("--keep", commit, {commit.id}) for commit in keep]
        for commit in since:
            older = {old.id for old in self._repository.walk(commit.id, SortMode.NONE)}
            needs.append(("sink", commit, (history.keys() - older) | {commit.id}))
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

    def _look(self, before: datetime, keep: list[GitCommit], since: list[GitCommit], prefixes: list[str]) -> _Looked:
        """Find what is held, and what of it is needed, while runs go on."""
        heads = self._heads(before)
        history = self._history(heads, ())
        kept = {commit.id for commit in [*heads, *keep, *since, *self._beginnings(heads)]}
        kept |= {name for name, commit in history.items() if commit.commit_time >= before.timestamp()}
        for sink in since:
            kept |= history.keys() - {commit.id for commit in self._repository.walk(sink.id, SortMode.NONE)}
        looked = _Looked({head.id for head in heads}, set(history))
        self._collector.reach((self._tree(name) for name in kept), looked.needed)
        known = set[str]()
        for commit in history.values() if prefixes else ():
            nodes = {prefix: node for prefix in prefixes if (node := self._commits.node(commit, prefix))}
            known |= nodes.keys()
            self._collector.reach((node.id for node in nodes.values()), looked.needed)
        if unknown := [prefix for prefix in prefixes if prefix not in known]:
            raise UnknownPrefixError(unknown)
        self._collector.reach((commit.tree_id.raw for commit in history.values()), looked.held)
        return looked

    def _look_again(self, looked: _Looked, before: datetime) -> None:
        """Add what refs that came or moved since need: where they are, what they began at, and all that is new."""
        heads = [head for head in self._heads(before) if head.id not in looked.heads]
        new = self._history(heads, looked.history).keys()
        kept = {commit.id for commit in [*heads, *self._beginnings(heads)]} | new
        self._collector.reach((self._tree(name) for name in kept), looked.needed)

    def _found(self, looked: _Looked) -> Iterator[tuple[Path, int]]:
        for sha256 in sorted(looked.held.data - looked.needed.data):
            path = self._file(sha256)
            with suppress(FileNotFoundError):
                yield path, path.stat().st_blocks * 512

    def _heads(self, before: datetime) -> list[GitCommit]:
        roots = (root for root in self._refs.roots(before.timestamp()) if self._is_commit(root))
        return [self._repository[pygit2.Oid(raw=root)].peel(GitCommit) for root in roots]

    def _history(self, heads: Iterable[GitCommit], hidden: Iterable[pygit2.Oid]) -> dict[pygit2.Oid, GitCommit]:
        """Return the commits that heads descend from, but for those that the hidden ones do."""
        found: dict[pygit2.Oid, GitCommit] = {}
        waiting = list(heads)
        seen = set(hidden)
        while waiting:
            commit = waiting.pop()
            if commit.id not in seen:
                seen.add(commit.id)
                found[commit.id] = commit
                waiting += commit.parents
        return found

    def _beginnings(self, heads: Iterable[GitCommit]) -> Iterator[GitCommit]:
        """Yield what the branches of live runs began at."""
        main = self._refs.branch(MAIN)
        for head in heads:
            if parted := self._repository.merge_base(main.id, head.id):
                yield self._repository[parted].peel(GitCommit)

    def _is_commit(self, name: bytes) -> bool:
        try:
            self._repository[pygit2.Oid(raw=name)].peel(GitCommit)
        except (ValueError, pygit2.InvalidSpecError):
            return False
        return True

    def _tree(self, name: pygit2.Oid) -> bytes:
        return self._repository[name].peel(GitCommit).tree_id.raw


def _summary(found: Iterable[tuple[Path, int]]) -> Removable:
    sizes = [size for _, size in found]
    return Removable("data object that only expired commits hold", len(sizes), sum(sizes))
