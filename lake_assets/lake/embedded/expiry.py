"""Expiring: data objects that only old commits hold are removed; the commits, their trees and pointers stay.

What was removed is written down first, so that it is told from what is damaged ever after. Bytes that are written
again are there again, in every commit that holds them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

import pygit2
from pygit2 import Commit as GitCommit
from pygit2.enums import SortMode

from lake_assets.lake.contract import MAIN, Removable
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
        keep, since, prefixes = list(keep), list(since), list(prefixes)
        if not yes:
            return _summary(self._find(before, keep, since, prefixes))
        # No ref moves meanwhile, so that none comes to need what is about to go.
        with self._refs.still():
            found = list(self._find(before, keep, since, prefixes))
            self._record.note((path.name for path, _ in found), datetime.now(timezone.utc))
            for path, _ in found:
                path.unlink(missing_ok=True)
            return _summary(found)

    def _find(
        self, before: datetime, keep: list[GitCommit], since: list[GitCommit], prefixes: list[str]
    ) -> Iterator[tuple[Path, int]]:
        refs = [root for root in self._refs.roots(before.timestamp()) if self._is_commit(root)]
        heads = [self._repository[pygit2.Oid(raw=root)].peel(GitCommit) for root in refs]
        history = {commit.id: commit for head in heads for commit in self._repository.walk(head.id, SortMode.NONE)}
        kept = {commit.id for commit in [*heads, *keep, *since, *self._beginnings(heads)]}
        kept |= {name for name, commit in history.items() if commit.commit_time >= before.timestamp()}
        for sink in since:
            kept |= history.keys() - {commit.id for commit in self._repository.walk(sink.id, SortMode.NONE)}
        needed, all_of_it = Reached(), Reached()
        self._collector.reach((self._tree(name) for name in kept), needed)
        for commit in history.values() if prefixes else ():
            nodes = (self._commits.node(commit, prefix) for prefix in prefixes)
            self._collector.reach([node.id for node in nodes if node], needed)
        self._collector.reach((commit.tree_id.raw for commit in history.values()), all_of_it)
        for sha256 in sorted(all_of_it.data - needed.data):
            path = self._objects.root / sha256[:2] / sha256[2:4] / sha256
            with suppress(FileNotFoundError):
                yield path, path.stat().st_blocks * 512

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
