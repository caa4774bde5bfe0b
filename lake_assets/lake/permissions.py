"""Permissions of what we make: those of the umask, widened as Git's ``core.sharedRepository`` says.

The system applies the umask to each new file and folder. Git's setting is a lake's own: it holds whatever the umask
is, so that several users can work in one lake. It holds for everything below the lake's folder.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_SETTING = "core.sharedRepository"
_GROUP, _ALL = 0o660, 0o664
_BITS = dict.fromkeys(("group", "true", "yes", "on", "1"), _GROUP) | dict.fromkeys(
    ("all", "world", "everybody", "2"), _ALL
)


@dataclass(frozen=True, slots=True)
class Sharing:
    """Who may use the files of a lake, besides what the umask allows.

    Parameters
    ----------
    bits
        Permissions of a file that all users of the lake need. None if only the umask counts.
    exact
        The bits replace those of the umask, instead of widening them.
    group
        Id of the group that owns the lake.
    """

    bits: int | None = None
    exact: bool = False
    group: int = -1

    def mode(self, mode: int, *, is_folder: bool) -> int:
        """Return the permissions that something with these permissions should have.

        Parameters
        ----------
        mode
            Its permissions, as the umask made them.
        is_folder
            Whether it is a folder.
        """
        if self.bits is None:
            return mode
        bits = self.bits if mode & stat.S_IWUSR else self.bits & ~0o222
        if is_folder or mode & stat.S_IXUSR:
            bits |= (bits & 0o444) >> 2
        wanted = (mode & ~0o777 if self.exact else mode) | bits
        # New files below a folder with this bit belong to the folder's group.
        return wanted | stat.S_ISGID if is_folder else wanted

    def adjust(self, *paths: Path) -> None:
        """Give files and folders of ours their permissions. Missing ones, and those of other users, are left out."""
        if self.bits is None:
            return
        for path in paths:
            with suppress(FileNotFoundError, PermissionError):
                found = path.lstat()
                if stat.S_ISLNK(found.st_mode):
                    continue
                if found.st_gid != self.group:
                    os.chown(path, -1, self.group)
                mode = stat.S_IMODE(found.st_mode)
                if (wanted := self.mode(mode, is_folder=stat.S_ISDIR(found.st_mode))) != mode:
                    path.chmod(wanted)

    def make_folder(self, path: Path) -> None:
        """Create a folder and its parents. Existing ones are unchanged."""
        if path.is_dir():
            return
        self.make_folder(path.parent)
        with suppress(FileExistsError):
            path.mkdir()
            self.adjust(path)

    def read_only(self) -> int:
        """Return the permissions of a file that nobody changes any more."""
        return self.mode(0o444 & ~umask(), is_folder=False)


UMASK = Sharing()
"""Only the umask counts."""


def umask() -> int:
    """Return this process's umask. The system call would change it for a moment, for all threads."""
    with suppress(OSError), Path("/proc/self/status").open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def sharing_of(git_dir: Path) -> Sharing:
    """Return the sharing that a Git repository's configuration asks for. Only the umask counts if it has none.

    Parameters
    ----------
    git_dir
        The repository's folder.
    """
    import pygit2

    config = git_dir / "config"
    try:
        value = next((entry.value for entry in pygit2.Config(str(config)) if entry.name == _SETTING.lower()), None)
        group = git_dir.stat().st_gid
    except (OSError, pygit2.GitError):
        return UMASK
    return _parsed((value or "").strip().lower(), group)


def sharing_near(folder: Path) -> Sharing:
    """Return the sharing of the lake that a folder lies in or beside. Only the umask counts if there is none."""
    for place in _lakes_above(folder):
        return sharing_of(place)
    return UMASK


def _lakes_above(folder: Path) -> Iterable[Path]:
    places = (above / "lake.git" for above in (folder, *folder.parents))
    return (place for place in places if (place / "config").is_file())


def _parsed(value: str, group: int) -> Sharing:
    if value in _BITS:
        return Sharing(_BITS[value], group=group)
    with suppress(ValueError):
        bits = int(value, 8)
        if bits & 0o600 == 0o600:
            return Sharing(bits & 0o666, exact=True, group=group)
    return UMASK
