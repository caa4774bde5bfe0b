"""Which commit changed a folder last, without reading all of history again.

A run asks it of each input, and what changed last long ago, or never stood in the lake, would cost more with each
publication. So a lake keeps answers: an answer for a commit holds for ever, and whoever asks of a later commit reads
back to that one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")

_LINE = re.compile("([0-9a-f]{40}|[0-9a-f]{64}) ([0-9a-f]{40}|[0-9a-f]{64}|-)\n")


class Answer(NamedTuple):
    """The commit that had changed a folder last by another one; None where none had."""

    by: str
    newest: str | None

    def render(self) -> str:
        """Return a line that says it."""
        return f"{self.by} {self.newest or '-'}\n"

    @classmethod
    def parse(cls, line: str) -> Answer | None:
        """Return what a line says; None of one that is half of a line, or none."""
        match = _LINE.fullmatch(line)
        return cls(match[1], None if match[2] == "-" else match[2]) if match else None


class Found(NamedTuple):
    """An answer, and how many commits were compared for it."""

    answer: Answer
    compared: int


def newest_change(
    history: Iterable[tuple[str, Sequence[str], T]], changed: Callable[[T], bool], kept: Answer | None = None
) -> Found | None:
    """Return the newest of a commit and what it descends from that changed something; None of no history.

    Of what the commit of a kept answer descends from nothing is compared: it is answered already.

    Parameters
    ----------
    history
        Newest first, children before parents: the id of each commit, its parents, and what ``changed`` is asked of.
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
