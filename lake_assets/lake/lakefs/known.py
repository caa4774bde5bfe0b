"""What this process has learnt of a lake and never changes: commits, and which folders its own writes changed.

A process opens a lake several times (each IO manager of a run does), so it is kept by the lake's name. A branch moves
at any moment: where one points is never kept.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from threading import Lock
from typing import NamedTuple, TypeVar

from lake_assets.lake.contract import Commit
from lake_assets.lake.names import is_within

T = TypeVar("T")

MOST = 2000
"""Commits that are kept; two pages of a log."""


WROTE = ".lake.wrote"
"""Commit metadata: what a write began at, and which folders it changed, as JSON."""


class Written(NamedTuple):
    """What a write's commit says of it: the commit that it began at, and the folders that it changed."""

    began: str
    folders: tuple[str, ...]

    def render(self) -> str:
        """Return it as commit metadata."""
        return json.dumps([self.began, *self.folders])

    @classmethod
    def parse(cls, metadata: Mapping[str, str]) -> Written | None:
        """Return what a commit's metadata say; None of a commit that is no write's."""
        if WROTE not in metadata:
            return None
        began, *folders = json.loads(metadata[WROTE])
        return cls(began, tuple(folders))

    def changed(self, prefix: str, parents: Sequence[str]) -> bool | None:
        """Tell whether the commit, with these parents, changed a prefix; None where it does not say."""
        if not any(is_within(folder, prefix) or is_within(prefix, folder) for folder in self.folders):
            return False
        # Landed on another's commit, it may have brought what that one had brought already.
        landed = tuple(parents) == (self.began,)
        return True if landed and any(is_within(folder, prefix) for folder in self.folders) else None


class Known:
    """What is known of one lake."""

    def __init__(self) -> None:
        self._commits: OrderedDict[str, Commit] = OrderedDict()
        self._written: OrderedDict[str, Written] = OrderedDict()
        self._mutex = Lock()

    def learn(self, commit: Commit) -> Commit:
        """Keep a commit, and return it."""
        with self._mutex:
            _keep(self._commits, commit.id, commit)
        return commit

    def learn_written(self, commit: str, written: Written) -> None:
        """Keep what a write of this process became."""
        with self._mutex:
            _keep(self._written, commit, written)

    def commit(self, name: str) -> Commit | None:
        """Return a commit by its id."""
        return self._commits.get(name)

    def changed(self, commit: str, prefix: str) -> bool:
        """Tell whether a commit is known to have changed a prefix; False says nothing."""
        found, written = self._commits.get(commit), self._written.get(commit)
        return bool(found and written and written.changed(prefix, found.parents))

    def line(self, commit: str) -> Iterator[str]:
        """Yield the ids of a commit and of what it is known to descend from."""
        waiting, seen = [commit], {commit}
        while waiting:
            name = waiting.pop()
            yield name
            found = self._commits.get(name)
            new = [parent for parent in (found.parents if found else ()) if parent not in seen]
            seen.update(new)
            waiting += new


@cache
def known_of(name: str) -> Known:
    """Return what this process knows of a lake."""
    del name
    return Known()


def _keep(kept: OrderedDict[str, T], name: str, value: T) -> None:
    kept[name] = value
    kept.move_to_end(name)
    while len(kept) > MOST:
        kept.popitem(last=False)
