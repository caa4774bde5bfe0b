"""Commits as dictionaries of paths, and the textbook's three-way merge of each path."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

Files = dict[str, str]


@dataclass(eq=False)
class HeldCommit:
    """What one commit holds, where it comes from, and which folders its write replaced."""

    id: str
    files: Files
    parents: tuple[HeldCommit, ...] = ()
    replaces: tuple[str, ...] = ()
    ancestors: dict[str, HeldCommit] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.ancestors = {self.id: self}
        for parent in self.parents:
            self.ancestors.update(parent.ancestors)


def below(held: Files, prefix: str) -> Files:
    return {path: text for path, text in held.items() if path.startswith(prefix + "/")}


def merge_bases(left: HeldCommit, right: HeldCommit) -> list[HeldCommit]:
    common = [commit for id_, commit in left.ancestors.items() if id_ in right.ancestors]
    return [one for one in common if not any(one is not other and one.id in other.ancestors for other in common)]


def three_way(base: Files, ours: Files, theirs: Files) -> tuple[Files, set[str]]:
    merged, conflicts = dict(ours), set[str]()
    for path in base.keys() | theirs.keys():
        before, mine, other = base.get(path), ours.get(path), theirs.get(path)
        if other in (before, mine):
            continue
        if mine != before:
            conflicts.add(path)
        elif other is None:
            del merged[path]
        else:
            merged[path] = other
    return merged, conflicts


def brought_back(others: Iterable[tuple[Files, list[Files]]], base: Files, ours: Files, theirs: Files) -> set[str]:
    """Paths that another common ancestor than the merge base changed, and of which one side undid that.

    Each other one is given with the merge bases of it and the merge base.
    """
    return {
        path
        for another, began in others
        for path in base.keys() | another.keys()
        if base.get(path) != another.get(path)
        and any(one.get(path) != another.get(path) for one in began)
        and (base.get(path) == ours.get(path)) != (base.get(path) == theirs.get(path))
    }


def mixed(replaces: Iterable[str], base: Files, ours: Files, theirs: Files) -> set[str]:
    """Paths of folders that one side replaced as wholes and the other changed."""
    conflicts = set[str]()
    for folder in replaces:
        was, mine, other = (below(side, folder) for side in (base, ours, theirs))
        if mine not in (was, other) and other != was:
            conflicts |= {path for path in mine | other if mine.get(path) != other.get(path)}
    return conflicts
