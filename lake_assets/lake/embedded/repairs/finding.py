"""What a repair finds, and where it puts what is damaged."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lake_assets.lake.embedded.gc import DAMAGED


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
    """Move a damaged file to :data:`DAMAGED`, so that it is missing from now on, and nobody takes it for sound.

    Parameters
    ----------
    git_dir
        Folder of the repository.
    path
        The file.
    """
    folder = git_dir / DAMAGED
    folder.mkdir(exist_ok=True)
    aside = folder / f"{time.time_ns()}-{'-'.join(path.relative_to(git_dir).parts)}"
    path.replace(aside)
    # Its age decides when the garbage collection removes it.
    with suppress(PermissionError):
        os.utime(aside)
