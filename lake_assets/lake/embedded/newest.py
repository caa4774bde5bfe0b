"""The cache of which commit changed a folder last: a small file for each folder, rebuilt if it is lost."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pygit2
from pygit2 import Commit as GitCommit

from lake_assets.lake.embedded.git_objects import GitObjects
from lake_assets.lake.embedded.history import newest_first
from lake_assets.lake.newest import Answer, newest_change
from lake_assets.lake.permissions import UMASK, Sharing

MANY = 50
"""Number of compared commits from which on an answer is cached."""


class Newest:
    """The cached answers of one lake."""

    def __init__(self, repository: pygit2.Repository, objects: GitObjects, sharing: Sharing = UMASK) -> None:
        self._repository = repository
        self._objects = objects
        self._sharing = sharing
        self.folder = Path(repository.path) / "lake_assets.newest"

    def find(self, start: GitCommit, prefix: str, changed: Callable[[GitCommit], bool]) -> GitCommit | None:
        """Return the newest commit that changed a prefix, among a commit and its ancestors.

        Parameters
        ----------
        start
            The commit to start at.
        prefix
            The prefix.
        changed
            Tells whether a commit changed the prefix.
        """
        path = self.folder / sha256(prefix.encode()).hexdigest()
        commits = newest_first(start, self._objects.commit)
        history = ((str(commit.id), list(map(str, commit.parent_ids)), commit) for commit in commits)
        found = newest_change(history, changed, self._kept(path))
        if found is None:
            return None
        if found.compared > MANY:
            # On a read-only lake or a full disk the answer is not cached, and the next search repeats the work.
            with suppress(OSError):
                self._sharing.make_folder(self.folder)
                new = self.folder / f".{secrets.token_hex(8)}"
                new.write_text(found.answer.render())
                self._sharing.adjust(new)
                new.replace(path)
        newest = found.answer.newest
        return None if newest is None else self._objects.commit(pygit2.Oid(hex=newest))

    def _kept(self, path: Path) -> Answer | None:
        with suppress(OSError, ValueError):
            kept = Answer.parse(path.read_text())
            if kept is None or kept.newest is None or kept.newest in self._repository:
                return kept
        return None
