"""Somebody else: who moves branches and merges by plain Git, or by lakeFS's own interface, past this project."""

from __future__ import annotations

from typing import Protocol

import pygit2
from pygit2.enums import FileMode

from lake_assets.lake.contract import MAIN, Lake
from lake_assets.lake.embedded import GitLake
from lake_assets_tests.model.clock import Clock


class Somebody(Protocol):
    """What others may do to a lake at any moment."""

    def delete(self, branch: str) -> None:
        """Delete a branch."""
        ...

    def reset(self, branch: str, commit: str) -> None:
        """Move a branch to an earlier commit."""
        ...

    def put(self, branch: str, path: str, origin: str | None) -> str:
        """Commit a file of the library, or no file, at a path of a branch; return the commit."""
        ...

    def merge(self, source: str) -> str | None:
        """Merge a commit into ``main``; None where that conflicts."""
        ...


LIBRARY = "library"
"""A branch that holds each content once, for somebody to copy from."""


class GitUser:
    """Somebody with plain Git on the embedded lake."""

    def __init__(self, lake: GitLake, clock: Clock) -> None:
        self._git = pygit2.Repository(f"{lake.repository}/lake.git")
        self._clock = clock

    def _head(self, branch: str) -> pygit2.Commit:
        return self._git.references[f"refs/heads/{branch}"].peel(pygit2.Commit)

    def delete(self, branch: str) -> None:
        self._git.references.delete(f"refs/heads/{branch}")

    def reset(self, branch: str, commit: str) -> None:
        self._git.references[f"refs/heads/{branch}"].set_target(pygit2.Oid(hex=commit))

    def put(self, branch: str, path: str, origin: str | None) -> str:
        head = self._head(branch)
        index = pygit2.Index()
        index.read_tree(head.tree)
        if origin is not None:
            blob = self._head(LIBRARY).tree / origin
            index.add(pygit2.IndexEntry(path, blob.id, FileMode.BLOB))
        else:
            index.remove(path)
        return self._commit(branch, index, f"Edit {path}", [head.id])

    def merge(self, source: str) -> str | None:
        head, theirs = self._head(MAIN), self._git[source].peel(pygit2.Commit)
        if self._git.merge_base(head.id, theirs.id) == theirs.id:
            return str(head.id)
        index = self._git.merge_commits(head, theirs)
        if index.conflicts:
            return None
        return self._commit(MAIN, index, f"Merge {source[:7]}", [head.id, theirs.id])

    def _commit(self, branch: str, index: pygit2.Index, message: str, parents: list[pygit2.Oid]) -> str:
        tree = index.write_tree(self._git)
        who = pygit2.Signature("somebody", "somebody@localhost", self._clock.time(), 0)
        return str(self._git.create_commit(f"refs/heads/{branch}", who, who, message, tree, parents))


def somebody_at(lake: Lake, clock: Clock) -> Somebody:
    """Return somebody who uses what keeps this lake, at the time of that clock where it is to be told."""
    if isinstance(lake, GitLake):
        return GitUser(lake, clock)
    from lake_assets_tests.model.lakefs_user import LakeFSUser

    return LakeFSUser(lake)
