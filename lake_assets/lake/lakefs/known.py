"""Cache of immutable facts about a lake, one for each process: commits, and the folders that its writes changed.

A process opens a lake several times (each IO manager of a run does), so the cache is shared by the lake's name. The
heads of branches are never cached, since they can move at any time.
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
"""Maximal number of cached commits: two pages of a log."""


WROTE = ".lake.wrote"
"""Commit metadata key: the commit at which a write began, and the folders that it changed, as JSON."""


class Written(NamedTuple):
    """A write as its commit describes it: the commit at which it began, and the folders that it changed."""

    began: str
    folders: tuple[str, ...]

    def render(self) -> str:
        """Return it as commit metadata."""
        return json.dumps([self.began, *self.folders])

    @classmethod
    def parse(cls, metadata: Mapping[str, str]) -> Written | None:
        """Parse a commit's metadata. None if the commit was not made by a write."""
        if WROTE not in metadata:
            return None
        began, *folders = json.loads(metadata[WROTE])
        return cls(began, tuple(folders))

    def changed(self, prefix: str, parents: Sequence[str]) -> bool | None:
        """Tell whether the commit changed a prefix. None if that cannot be told.

        Parameters
        ----------
        prefix
            The prefix.
        parents
            The commit's parents.
        """
        if not any(is_within(folder, prefix) or is_within(prefix, folder) for folder in self.folders):
            return False
        # If another commit came in between, it may have made the same change already.
        landed = tuple(parents) == (self.began,)
        return True if landed and any(is_within(folder, prefix) for folder in self.folders) else None


class Known:
    """The cache of one lake."""

    def __init__(self) -> None:
        self._commits: OrderedDict[str, Commit] = OrderedDict()
        self._written: OrderedDict[str, Written] = OrderedDict()
        self._mutex = Lock()

    def learn(self, commit: Commit) -> Commit:
        """Cache a commit, and return it."""
        with self._mutex:
            _keep(self._commits, commit.id, commit)
        return commit

    def learn_written(self, commit: str, written: Written) -> None:
        """Cache a write of this process by the id of its commit."""
        with self._mutex:
            _keep(self._written, commit, written)

    def commit(self, name: str) -> Commit | None:
        """Return a cached commit by its id, or None."""
        return self._commits.get(name)

    def changed(self, commit: str, prefix: str) -> bool:
        """Tell whether a commit is known to have changed a prefix. False means that it is not known."""
        found, written = self._commits.get(commit), self._written.get(commit)
        return bool(found and written and written.changed(prefix, found.parents))

    def line(self, commit: str) -> Iterator[str]:
        """Yield the ids of a commit and of its cached ancestors."""
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
    """Return this process's cache of a lake."""
    del name
    return Known()


def _keep(kept: OrderedDict[str, T], name: str, value: T) -> None:
    kept[name] = value
    kept.move_to_end(name)
    while len(kept) > MOST:
        kept.popitem(last=False)
