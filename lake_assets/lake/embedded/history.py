"""The ancestors of commits. Each is read by the caller's function: libgit2's own would read a damaged file for ever."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush

import pygit2
from pygit2 import Commit as GitCommit

Read = Callable[[pygit2.Oid], GitCommit]
"""Returns a commit by its id."""

_LEFT, _RIGHT, _BOTH, _BELOW = 1, 2, 3, 4


def newest_first(start: GitCommit, read: Read) -> Iterator[GitCommit]:
    """Yield a commit and its ancestors, newest first, children before their parents.

    Commits are read only as they are consumed. Git's own topological order reads all of history first, because a child
    may be dated before its parent. No commit of the lake is. A parent that is newer than its child (made with plain
    Git on a machine with another clock) counts as old as the child.

    Parameters
    ----------
    start
        The commit.
    read
        Reads a commit.
    """
    waiting = [(-start.commit_time, str(start.id))]
    commits = {str(start.id): start}
    while waiting:
        when = waiting[0][0]
        group: dict[str, GitCommit] = {}
        while waiting and waiting[0][0] == when:
            commit = commits[heappop(waiting)[1]]
            group[str(commit.id)] = commit
            for parent_id in commit.parent_ids:
                name = str(parent_id)
                if name not in commits:
                    commits[name] = parent = read(parent_id)
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


def merge_base(left: GitCommit, right: GitCommit, read: Read) -> GitCommit | None:
    """Return the newest best common ancestor of two commits, or None if they have none; see :func:`merge_bases`."""
    return next(iter(merge_bases(left, right, read)), None)


def merge_bases(left: GitCommit, right: GitCommit, read: Read) -> list[GitCommit]:
    """Return the best common ancestors of two commits, newest first: those that are below no other one.

    The commits are visited as by Git (``paint_down_to_common`` in its commit-reach.c).

    Parameters
    ----------
    left, right
        The commits.
    read
        Reads a commit.
    """
    commits, colours = _painted([left], [right], read)
    best = [commits[name] for name, colour in colours.items() if colour == _BOTH]
    if len(best) > 1:  # Where clocks disagree, one may be below another.
        best = [
            one for one in best if not any(other.id != one.id and descends(other.id, one.id, read) for other in best)
        ]
    return sorted(best, key=lambda commit: commit.commit_time, reverse=True)


def descends(commit: pygit2.Oid, ancestor: pygit2.Oid, read: Read) -> bool:
    """Tell whether a commit comes after another one.

    Parameters
    ----------
    commit, ancestor
        The ids of both.
    read
        Reads a commit.
    """
    if commit == ancestor:
        return False
    _, colours = _painted([read(commit)], [read(ancestor)], read)
    return colours[ancestor] & _BOTH == _BOTH


def only_in(tips: Iterable[GitCommit], others: Iterable[GitCommit], read: Read) -> list[GitCommit]:
    """Return the commits that ``tips`` reach and ``others`` do not, themselves included.

    Where clocks disagree, some that both reach may be among them, as with Git.

    Parameters
    ----------
    tips, others
        Commits.
    read
        Reads a commit.
    """
    commits, colours = _painted(tips, others, read, only_left=True)
    return [commits[name] for name, colour in colours.items() if colour & _BOTH == _LEFT]


def _painted(
    left: Iterable[GitCommit], right: Iterable[GitCommit], read: Read, *, only_left: bool = False
) -> tuple[dict[pygit2.Oid, GitCommit], dict[pygit2.Oid, int]]:
    """Return commits, and which side reaches each, down to where both reach all. What is below a common one says so.

    With ``only_left``, only what the left side alone reaches is certain to be there.
    """
    commits: dict[pygit2.Oid, GitCommit] = {}
    colours: dict[pygit2.Oid, int] = {}
    waiting: list[tuple[int, int, pygit2.Oid]] = []
    oldest = -sys.maxsize

    def paint(commit: GitCommit, colour: int) -> None:
        nonlocal oldest
        before = colours.get(commit.id, 0)
        if before | colour != before:
            commits[commit.id] = commit
            colours[commit.id] = before | colour
            heappush(waiting, (-commit.commit_time, len(commits), commit.id))
            if colour == _LEFT:
                oldest = max(oldest, -commit.commit_time)

    for tips, colour in ((left, _LEFT), (right, _RIGHT)):
        for tip in tips:
            paint(tip, colour)

    def goes_deeper() -> bool:
        if not only_left:
            return any(not colours[name] & _BELOW for _, _, name in waiting)
        # Of the same second, a commit may come before its child.
        return bool(waiting) and (waiting[0][0] <= oldest or any(colours[name] == _LEFT for _, _, name in waiting))

    while goes_deeper():
        _, _, name = heappop(waiting)
        colour = colours[name] | (_BELOW if colours[name] & _BOTH == _BOTH else 0)
        for parent in commits[name].parent_ids:
            paint(commits.get(parent) or read(parent), colour)
    return commits, colours
