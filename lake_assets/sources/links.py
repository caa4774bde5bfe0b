"""Links in a folder of files. A file is known by its real path, and one outside of the folder is no file of it."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass


class LinkRefused(Exception):
    """A link leads out of its folder, or in a circle. The message names the link, and the remedy."""


@dataclass(frozen=True, slots=True)
class Base:
    """A folder of files.

    Parameters
    ----------
    root
        Its real path.
    outside
        Whether links may lead out of it.
    """

    root: str
    outside: bool = False

    def real(self, path: str) -> str:
        """Return the real path of a file or folder.

        Parameters
        ----------
        path
            Its path below the base, which may contain links.

        Raises
        ------
        LinkRefused
            A link leads out of the folder, or in a circle.
        OSError
            There is no such file, or it cannot be looked at.
        """
        try:
            real = os.path.realpath(path, strict=True)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise LinkRefused(f"{show(path)}: its links lead in a circle; remove them") from error
            raise
        if not self.outside and not is_below(real, self.root):
            raise LinkRefused(
                f"{show(path)} leads out of {show(self.root)}, to {show(real)}: copy it into the folder, or allow such "
                "links with SOURCE_LINKS_OUTSIDE=true"
            )
        return real


def is_below(path: str, folder: str) -> bool:
    """Tell whether a real path is a folder, or lies in it.

    Parameters
    ----------
    path, folder
        The real paths.
    """
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def show(path: str | os.PathLike[str]) -> str:
    """Return a path as one line of printable text, whatever its bytes.

    Parameters
    ----------
    path
        The path.
    """
    text = os.fsencode(path).decode(errors="backslashreplace")
    return text if text.isprintable() and " " not in text else repr(text)
