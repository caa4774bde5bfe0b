"""Git commits: creating and reading them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import pygit2
from pygit2 import Commit as GitCommit
from pygit2.enums import ObjectType

from lake_assets.lake.contract import Commit
from lake_assets.lake.embedded import trailers
from lake_assets.lake.embedded.git_objects import GitObjects
from lake_assets.lake.embedded.history import only_in
from lake_assets.lake.embedded.trees import Node, Trees, folder_node
from lake_assets.lake.moments import utc
from lake_assets.lake.spec import CommitStep

ATTRIBUTES = ".gitattributes"
"""A file in the root of every commit that marks the data files for git-lfs. It is not part of the lake."""


IDENTITY = ("lake_assets", "lake_assets@localhost")
"""A fixed author, so that the lake does not depend on a user's Git configuration."""


def describe(commit: GitCommit) -> Commit:
    """Return a Git commit as a :class:`Commit` of the contract."""
    text = trailers.parse(commit.message)
    when = utc(commit.commit_time)
    return Commit(str(commit.id), tuple(map(str, commit.parent_ids)), text.message, text.metadata, when)


class Commits:
    """The commits of a repository."""

    def __init__(self, objects: GitObjects, trees: Trees) -> None:
        self._objects = objects
        self._trees = trees

    def make(
        self,
        root: Node | None,
        parents: Sequence[GitCommit],
        step: CommitStep,
        replaces: Iterable[str] = (),
    ) -> GitCommit:
        """Store a commit. No branch moves."""
        # A commit is never dated before its parents, even if the clock is wrong: history is read in order of dates.
        now = max([int(time.time()), *(parent.commit_time for parent in parents)])
        author = pygit2.Signature(*IDENTITY, now, 0)
        text = trailers.render(step.message, step.metadata, replaces)
        ids = [parent.id for parent in parents]
        tree = root.id if root else self._objects.write(ObjectType.TREE, b"")
        return self._objects.write_commit(author, text, tree, ids)

    def root(self, commit: GitCommit) -> Node:
        """Return the root tree of a commit."""
        return folder_node(commit.tree_id.raw)

    def node(self, commit: GitCommit, path: str) -> Node | None:
        """Return a commit's node at a path, or None. A lake without data has no node at ``""``."""
        root = self.root(commit)
        if not path and self._trees.entries(root).keys() <= {ATTRIBUTES}:
            return None
        return self._trees.find(root, path)

    def replaced(self, from_commit: GitCommit, to_commit: GitCommit) -> set[str]:
        """Return the folders that were replaced as a whole by commits of ``to_commit`` but not of ``from_commit``."""
        new = only_in([to_commit], [from_commit], self._objects.commit)
        return {folder for commit in new for folder in trailers.parse(commit.message).replaces}
