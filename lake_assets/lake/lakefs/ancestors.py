"""The common ancestors of two commits that the server passes over.

The server takes the first common ancestor that it meets (`FindMergeBase` in its merge_base_finder.go). Where both sides
have a merge commit whose parent this is, a later common ancestor may follow.
"""

from __future__ import annotations

from lake_assets.lake.lakefs.server import Server

_AT_ONCE = 30
"""Commits in a page: most branches are shorter."""


def other_bases(server: Server, theirs: str, ours: str, base: str) -> set[str]:
    """Return the common ancestors of two commits that are neither the merge base nor an ancestor of another one.

    Parameters
    ----------
    server
        The server.
    theirs, ours
        The ids of the two commits.
    base
        The id of the merge base that the server takes.
    """
    lines: list[dict[str, list[str]]] = []
    for side in (theirs, ours):
        line = _since(server, side, base)
        if all(len(parents) == 1 for parents in line.values()):
            return set()
        lines.append(line)
    common = lines[0].keys() & lines[1].keys()
    return common.difference(*(lines[0][commit] for commit in common))


def _since(server: Server, side: str, base: str) -> dict[str, list[str]]:
    """Return the commits that ``side`` reaches and ``base`` does not, each with its parents."""
    found: dict[str, list[str]] = {}
    expected = {side}
    older = {base}
    # Children come before their parents.
    for item in server.raw_log(side, _AT_ONCE):
        commit, parents = item["id"], item["parents"]
        if commit in older:
            older.update(parents)
        else:
            found[commit] = parents
            expected.update(parents)
        expected.discard(commit)
        if expected <= older:
            break
    return found
