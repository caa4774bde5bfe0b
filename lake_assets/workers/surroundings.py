"""What a process was started with: its sources as they are on disk, its environment and its working folder."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from types import ModuleType

_OF_THE_TERMINAL = frozenset(
    [
        *("_", "COLORTERM", "COLUMNS", "DISPLAY", "LINES", "LS_COLORS", "OLDPWD", "PS1", "PWD", "SHLVL", "TERM"),
        *("TMUX", "TMUX_PANE", "WINDOWID", "DAGSTER_IS_DEV_CLI", "DAGSTER_verbose", "LC_CTYPE"),
    ]
)
"""Variables that differ between two terminals, or that Dagster and Python set for themselves."""
_INSTALLED = tuple(Path(folder) for folder in site.getsitepackages())


def environment() -> dict[str, str]:
    """Return a digest of each variable of this process's environment, and of its working folder.

    Values may be secret, so nobody is told more than a digest.
    """
    told = {name: value for name, value in os.environ.items() if name not in _OF_THE_TERMINAL}
    told["the working folder"] = str(Path.cwd())
    return {name: sha256(value.encode(errors="surrogateescape")).hexdigest()[:16] for name, value in told.items()}


def differences(mine: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """Return the names of what differs between two environments.

    Parameters
    ----------
    mine, other
        From :func:`environment`.
    """
    return sorted(name for name in {*mine, *other} if mine.get(name) != other.get(name))


class Sources:
    """The files of this process's code outside of Python's own, as they were on disk when it was loaded.

    A package counts with all its files, also those that are not imported: a new file may be found by its folder. Of
    installed packages, only what was installed and removed counts.

    Parameters
    ----------
    began
        When the loading began, in nanoseconds since 1970. A file that was changed later may be loaded half way.
    """

    def __init__(self, began: int) -> None:
        self._began = began
        self._loaded = _state()

    def changed(self) -> str | None:
        """Return a path that is not any more, or may not be, what was loaded; None if all are."""
        now = _state()
        for path in {**self._loaded, **now}:
            known, found = self._loaded.get(path), now.get(path)
            # What is imported late lay there before the process began, but for a file that is new.
            if found is None or (known is not None and found != known) or found[0] >= self._began:
                return path
            if known is None and _is_in_any(path, self._loaded):
                return path
        self._loaded = now
        return None


def _is_in_any(path: str, known: Mapping[str, tuple[int, int]]) -> bool:
    """Tell whether the package of a file was known: so the file was not."""
    folder = Path(path).parent
    return any(Path(other).parent == folder for other in known)


def _state() -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for place in {*_roots(), *_INSTALLED}:
        for path in _files(place):
            try:
                status = path.stat()
            except OSError:
                continue
            found[str(path)] = (status.st_mtime_ns, status.st_size)
    return found


def _files(place: Path) -> Iterator[Path]:
    if place in _INSTALLED or not place.is_dir():
        yield place
        return
    for folder, folders, files in os.walk(place):
        folders[:] = [name for name in folders if name != "__pycache__" and not name.startswith(".")]
        yield from (Path(folder, name) for name in files if not name.startswith("."))


def _roots() -> set[Path]:
    """Return the folders of imported packages, and the files of imported modules, that are not Python's own."""
    own = tuple({*(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")), sys.prefix})
    roots: set[Path] = set()
    for name, module in list(sys.modules.items()):
        file = _file_of(module)
        if file is None or file.startswith(own):
            continue
        path = Path(file)
        # A module two packages deep is of the folder two above its own.
        depth = name.count(".") + (path.name == "__init__.py")
        roots.add(path.parents[depth - 1] if 0 < depth <= len(path.parents) else path)
    return roots


def _file_of(module: ModuleType) -> str | None:
    file = getattr(module, "__file__", None)
    return file if isinstance(file, str) and os.path.isabs(file) else None  # noqa: PTH117
