"""Which commit changed a folder last, without reading all of history again.

Every run asks this for each of its inputs. For a folder that changed long ago, or never existed, the search would get
slower with each publication. So a lake caches answers. An answer for a commit is valid for ever, and a search from a
later commit stops at that commit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")

_LINE = re.compile("([0-9a-f]{40}|[0-9a-f]{64}) ([0-9a-f]{40}|[0-9a-f]{64}|-)\n")


class Answer(NamedTuple):
    """A cached answer: as of commit ``by``, the commit ``newest`` changed the folder last; None: no commit did."""

    by: str
    newest: str | None

    def render(self) -> str:
        """Return the answer as a line of text."""
        return f"{self.by} {self.newest or '-'}\n"

    @classmethod
    def parse(cls, line: str) -> Answer | None:
        """Parse a line of text. None if it is not a complete line."""
        match = _LINE.fullmatch(line)
        return cls(match[1], None if match[2] == "-" else match[2]) if match else None


class Found(NamedTuple):
    """An answer, and the number of commits that were compared to find it."""

    answer: Answer
    compared: int


def newest_change(
    history: Iterable[tuple[str, Sequence[str], T]], changed: Callable[[T], bool], kept: Answer | None = None
) -> Found | None:
    """Return the newest commit of a history that changed something. None if the history is empty.

    Ancestors of a cached answer's commit are not compared, since the answer covers them.

    Parameters
    ----------
    history
        Id, parents and commit, newest first and children before parents.
    changed
        Tells whether a commit made a change.
    kept
        The cached answer.
    """
    by, compared = "", 0
    unknown, covered = set[str](), set[str]()
    for name, parents, commit in history:
        if not by:
            by, unknown = name, {name}
        unknown.discard(name)
        if kept is not None and (name == kept.by or name in covered):
            if name == kept.newest:
                return Found(Answer(by, name), compared)
            covered.update((name, *parents))
            unknown.difference_update(parents)
        else:
            compared += 1
            if changed(commit):
                return Found(Answer(by, name), compared)
            unknown.update(parent for parent in parents if parent not in covered)
        if kept is not None and covered and not unknown:
            return Found(Answer(by, kept.newest), compared)
    return Found(Answer(by, None), compared) if by else None
