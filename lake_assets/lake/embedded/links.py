"""Folders of hard links to data objects: filled, compared with what they should hold, and mended in place."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from lake_assets.lake.embedded.objects import Objects, Pointer, sha256_of

Piece = Pointer | bytes
"""What a file holds: the bytes of an object, or those of a plain file in Git."""


class PieceGoneError(Exception):
    """The object of a file is missing or damaged, and so is the link to it."""

    def __init__(self, name: str, pointer: Pointer) -> None:
        self.name = name
        self.pointer = pointer
        super().__init__(name)


class Links:
    """Makes and mends folders of links to the objects of a store."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._sharing = objects.sharing

    def fill(self, root: Path, pieces: Mapping[str, Piece]) -> None:
        """Make a new folder with files.

        Parameters
        ----------
        root
            The folder.
        pieces
            The files, by their paths below it.

        Raises
        ------
        PieceGoneError
            An object is missing or incomplete.
        """
        self._sharing.make_folder(root)
        for name, piece in pieces.items():
            self._sharing.make_folder((root / name).parent)
            self._put(root / name, name, piece)

    def _put(self, path: Path, name: str, piece: Piece) -> None:
        if isinstance(piece, bytes):
            path.write_bytes(piece)
            path.chmod(self._sharing.read_only())
            return
        try:
            self._objects.link(piece, path)
        except FileNotFoundError as error:
            raise PieceGoneError(name, piece) from error

    def differences(self, root: Path, pieces: Mapping[str, Piece]) -> set[str]:
        """Return the names below a folder at which it does not hold what it should.

        A file is right if it is the object itself, by another name. So no file is read, and the time is in proportion
        to their number.

        Parameters
        ----------
        root
            The folder.
        pieces
            The files that it should hold, by their paths below it.
        """
        found = _files(root)
        wrong = {
            name for name, piece in pieces.items() if not self._is_right(root / name, found.pop(name, None), piece)
        }
        return wrong | found.keys()

    def mend(self, root: Path, pieces: Mapping[str, Piece], aside: Path) -> None:
        """Make a folder hold these files and no others. Readers of files that are right notice nothing.

        Parameters
        ----------
        root
            The folder.
        pieces
            The files that it should hold, by their paths below it.
        aside
            A folder of the same file system, for what is wrong and for new links.

        Raises
        ------
        PieceGoneError
            A file is wrong, and its object is missing or damaged.
        """
        for name in self.differences(root, pieces):
            path, piece = root / name, pieces.get(name)
            if piece is None:
                with suppress(FileNotFoundError):
                    path.rename(aside / secrets.token_hex(8))
                continue
            if isinstance(piece, Pointer) and self._objects.fault(piece):
                if not _is_copy(path, piece):
                    raise PieceGoneError(name, piece)
                if not self._objects.exists(piece):
                    continue  # The link is what is left of it. It may have expired, so it does not come back.
                self._objects.restore(piece, path)
            new = aside / secrets.token_hex(8)
            self._put(new, name, piece)
            _clear_way(root, name, aside)
            self._sharing.make_folder(path.parent)
            new.replace(path)

    def _is_right(self, path: Path, status: os.stat_result | None, piece: Piece) -> bool:
        if status is None:
            return False
        if isinstance(piece, bytes):
            return stat.S_ISREG(status.st_mode) and status.st_size == len(piece) and path.read_bytes() == piece
        stored = self._objects.path(piece)
        if stat.S_ISLNK(status.st_mode):
            return path.readlink() == stored and self._objects.holds(piece)
        try:
            return os.path.samestat(status, stored.stat()) and status.st_size == piece.size
        except FileNotFoundError:
            return False


def _files(root: Path) -> dict[str, os.stat_result]:
    """Return everything below a folder that is not a folder, by its path below it."""
    found: dict[str, os.stat_result] = {}
    folders = [""]
    while folders:
        folder = folders.pop()
        with os.scandir(root / folder) as entries:
            for entry in entries:
                name = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_dir(follow_symlinks=False):
                    folders.append(name)
                else:
                    found[name] = entry.stat(follow_symlinks=False)
    return found


def _is_copy(path: Path, pointer: Pointer) -> bool:
    try:
        return path.stat().st_size == pointer.size and sha256_of(path) == pointer
    except OSError:
        return False


def _clear_way(root: Path, name: str, aside: Path) -> None:
    """Move away a folder where a file belongs, and a file where one of its parent folders belongs."""
    parts = name.split("/")
    for depth in range(1, len(parts) + 1):
        path = root.joinpath(*parts[:depth])
        if path.is_dir() and not path.is_symlink():
            if depth == len(parts):
                path.rename(aside / secrets.token_hex(8))
        elif depth < len(parts) and (path.exists() or path.is_symlink()):
            path.rename(aside / secrets.token_hex(8))
