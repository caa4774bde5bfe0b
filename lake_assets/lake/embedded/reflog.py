"""Git's reflogs: which commits a branch was at. They tell where a damaged branch belongs."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from lake_assets.lake.embedded.commits import IDENTITY
from lake_assets.lake.embedded.durability import sync_all
from lake_assets.lake.permissions import Sharing

NOTHING = "0" * 40
"""What a new ref was at before."""

_ENTRY = re.compile(r"([0-9a-f]{40}) ([0-9a-f]{40}) [^\n]*?> ([0-9]+) [+-][0-9]{4}")
_ANYTHING = re.compile(r"[^\n]*\S[^\n]*")


def note(git_dir: Path, ref: str, before: str, after: str, sharing: Sharing) -> None:
    """Note that a ref is about to move, in Git's format. The note is synced on return.

    libgit2 would do this, too, but then no branch moves while ``HEAD`` or the branch that it names is damaged.

    Parameters
    ----------
    git_dir
        Folder of the repository.
    ref
        Full name of the ref.
    before, after
        The commits.
    sharing
        Who may use the file.
    """
    path = git_dir / "logs" / ref
    is_new = not path.exists()
    sharing.make_folder(path.parent)
    name, address = IDENTITY
    with path.open("ab") as file:
        # Begin a new line, since a full disk may have cut the one before.
        cut = b"\n" if not is_new and not path.read_bytes().endswith(b"\n") else b""
        file.write(cut + f"{before} {after} {name} <{address}> {int(time.time())} +0000\tlake_assets\n".encode())
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        sharing.adjust(path)
        sync_all(above for above in path.parents if above.is_relative_to(git_dir))


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


def is_cut(log: Path) -> bool:
    """Tell whether something stands behind a reflog's last whole line: a later move, of which the line was cut.

    Parameters
    ----------
    log
        The reflog.
    """
    try:
        lines = _ANYTHING.findall(log.read_text(errors="replace").replace("\0", " "))
    except OSError:
        return False
    return bool(lines) and _ENTRY.match(lines[-1]) is None


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
