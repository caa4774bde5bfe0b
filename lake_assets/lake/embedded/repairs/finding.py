"""What a repair finds, and where it puts what is damaged."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

ASIDE = "lake_assets.damaged"
"""Folder in ``lake.git`` for what is damaged. Nobody reads it; it may be deleted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is damaged.

    Parameters
    ----------
    what
        What is damaged, and how.
    mended
        What was done about it. Empty if there is no other copy.
    remedy
        The one thing to do, if it was not mended.
    """

    what: str
    mended: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.mended or self.remedy}"


def put_aside(git_dir: Path, path: Path) -> None:
    """Move a damaged file away, so that it is missing from now on, and nobody takes it for sound.

    Parameters
    ----------
    git_dir
        Folder of the repository.
    path
        The file.
    """
    folder = git_dir / ASIDE
    folder.mkdir(exist_ok=True)
    name = "-".join(path.relative_to(git_dir).parts)
    path.replace(folder / f"{time.time_ns()}-{name}")
