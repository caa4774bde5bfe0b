"""Which commit changed a folder last, without reading all of history again.

A run asks it of each input, and what changed last long ago, or never stood in the lake, would cost more with each
publication. So the answer for a commit is written down, one small file a folder: it holds for ever, and whoever asks
of a later commit reads back to that one. The files are no part of the lake's content: one that is lost is made anew.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import pygit2
from pygit2 import Commit as GitCommit

from lake_assets.lake.embedded.history import newest_first
from lake_assets.lake.embedded.scratch import make_folder

MANY = 50
"""Commits that are read rather than anything is written down."""

_LINE = re.compile("([0-9a-f]{40}) ([0-9a-f]{40}|-)\n")


class Known(NamedTuple):
    """The commit that had changed a folder last by another one; None where none had."""

    by: str
    newest: GitCommit | None


def newest_change(
    start: GitCommit, changed: Callable[[GitCommit], bool], known: Known | None = None
) -> tuple[GitCommit | None, int]:
    """Return the newest of a commit and what it descends from that changed something, and how many were read.

    Of what the commit of ``known`` descends from nothing is compared: the answer is there already.
    """
    read = 0
    unknown, covered = {str(start.id)}, set[str]()
    for commit in newest_first(start):
        name, parents = str(commit.id), [str(parent) for parent in commit.parent_ids]
        unknown.discard(name)
        if known is not None and (name == known.by or name in covered):
            if known.newest is not None and commit.id == known.newest.id:
                return commit, read
            covered.update(parents)
            unknown.difference_update(parents)
            if not unknown:
                return known.newest, read
        else:
            read += 1
            if changed(commit):
                return commit, read
            unknown.update(parent for parent in parents if parent not in covered)
            if known is not None and covered and not unknown:
                return known.newest, read
    return None, read


class Newest:
    """The answers of one lake."""

    def __init__(self, repository: pygit2.Repository) -> None:
        self._repository = repository
        self.folder = Path(repository.path) / "lake_assets.newest"

    def find(self, start: GitCommit, prefix: str, changed: Callable[[GitCommit], bool]) -> GitCommit | None:
        """Return the newest commit that ``changed`` a prefix, of a commit and what it descends from."""
        path = self.folder / sha256(prefix.encode()).hexdigest()
        found, read = newest_change(start, changed, self._known(path))
        if read > MANY:
            # A lake that may only be read, or a full disk: the next one reads as much.
            with suppress(OSError):
                make_folder(self.folder)
                new = self.folder / f".{secrets.token_hex(8)}"
                new.write_text(f"{start.id} {found.id if found else '-'}\n")
                new.replace(path)
        return found

    def _known(self, path: Path) -> Known | None:
        with suppress(OSError, ValueError, KeyError, pygit2.InvalidSpecError):
            if match := _LINE.fullmatch(path.read_text()):
                newest = None if match[2] == "-" else self._repository[match[2]].peel(GitCommit)
                return Known(match[1], newest)
        return None
