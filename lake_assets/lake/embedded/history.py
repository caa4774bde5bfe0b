"""The ancestors of a commit, newest first, read lazily."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush

from pygit2 import Commit as GitCommit


def newest_first(start: GitCommit) -> Iterator[GitCommit]:
    """Yield a commit and its ancestors, newest first, children before their parents.

    Commits are read only as they are consumed. Git's own topological order reads all of history first, because a child
    may be dated before its parent. No commit of the lake is. A parent that is newer than its child (made with plain
    Git on a machine with another clock) counts as old as the child.

    Parameters
    ----------
    start
        The commit.
    """
    waiting = [(-start.commit_time, str(start.id))]
    commits = {str(start.id): start}
    while waiting:
        when = waiting[0][0]
        group: dict[str, GitCommit] = {}
        while waiting and waiting[0][0] == when:
            commit = commits[heappop(waiting)[1]]
            group[str(commit.id)] = commit
            for parent in commit.parents:
                name = str(parent.id)
                if name not in commits:
                    commits[name] = parent
                    heappush(waiting, (max(when, -parent.commit_time), name))
        yield from _children_first(group)


def _children_first(group: dict[str, GitCommit]) -> Iterator[GitCommit]:
    """Yield commits of the same second, children before their parents, a merge's second parent before its first."""
    if len(group) == 1:
        yield from group.values()
        return
    parents = {
        name: [str(parent) for parent in commit.parent_ids if str(parent) in group] for name, commit in group.items()
    }
    children = dict.fromkeys(group, 0)
    for names in parents.values():
        for name in names:
            children[name] += 1
    ready = [name for name, count in children.items() if count == 0]
    while ready:
        name = ready.pop()
        yield group[name]
        for parent in parents[name]:
            children[parent] -= 1
            if children[parent] == 0:
                ready.append(parent)
