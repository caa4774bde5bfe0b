"""Git's reflogs: which commits a branch was at. They tell where a damaged branch belongs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pygit2

_SETTING = "core.logAllRefUpdates"
_ENTRY = re.compile(r"([0-9a-f]{40}) ([0-9a-f]{40}) [^\n]*?> ([0-9]+) [+-][0-9]{4}")


def keep_reflogs(repository: pygit2.Repository) -> None:
    """Let Git and libgit2 note each move of a branch. In a bare repository neither does by itself."""
    repository.config[_SETTING] = "true"


def has_reflogs(repository: pygit2.Repository) -> bool:
    """Tell whether the repository says whether moves of branches are noted."""
    return _SETTING in repository.config


def entries(log: Path) -> list[tuple[float, str, str]]:
    """Return the time of each move that a reflog tells of, and the commits before and after it, the oldest first.

    Lines that a power loss has cut or filled with other bytes are left out.

    Parameters
    ----------
    log
        The reflog.
    """
    try:
        text = log.read_text(errors="replace")
    except OSError:
        return []
    return [(float(match[3]), match[1], match[2]) for match in _ENTRY.finditer(text)]


def logged(git_dir: Path) -> Iterator[tuple[float, str]]:
    """Yield the commits that any branch was at, with the time when it came there or left.

    Parameters
    ----------
    git_dir
        The repository's folder.
    """
    for path in (git_dir / "logs").rglob("*"):
        if path.is_file():
            for when, before, after in entries(path):
                yield when, before
                yield when, after
