"""Data files as Git-LFS objects: hashed, synced, added by hard link, read-only, and never changed.

An object that exists already is trusted only after it was hashed. So writing the right bytes again mends damage, and no
new commit adopts it. That costs one more reading of each file that was stored before, at the speed of SHA-256 (about
1 GB/s a core). What this program has just written is trusted, and so is what is only read.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from lake_assets.lake.embedded.durability import in_parallel, sync, sync_all
from lake_assets.lake.permissions import UMASK, Sharing

_BUFFER = 1 << 20
_VERSION = "version https://git-lfs.github.com/spec/v1"
_POINTER = re.compile(re.escape(_VERSION) + r"\noid sha256:([0-9a-f]{64})\nsize ([0-9]+)\n")


class Pointer(NamedTuple):
    """Git's pointer to a data file: its SHA-256 and its size in bytes."""

    sha256: str
    size: int

    def render(self) -> bytes:
        """Return the pointer file, as git-lfs writes it."""
        return f"{_VERSION}\noid sha256:{self.sha256}\nsize {self.size}\n".encode()

    @classmethod
    def parse(cls, data: bytes) -> Pointer | None:
        """Parse a pointer file. None if the bytes are not a pointer file."""
        match = _POINTER.fullmatch(data.decode("ascii", "replace"))
        return cls(match[1], int(match[2])) if match else None


class FileChangedError(Exception):
    """A file was still being written while it was committed."""


def sha256_of(path: Path) -> Pointer:
    """Hash a file in one pass, in constant memory."""
    digest, size = hashlib.sha256(), 0
    buffer = memoryview(bytearray(_BUFFER))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
            size += count
    return Pointer(digest.hexdigest(), size)


class Objects:
    """The object store at ``lake.git/lfs/objects``.

    Parameters
    ----------
    root
        Its folder.
    sharing
        Who may use it.
    """

    def __init__(self, root: Path, sharing: Sharing = UMASK) -> None:
        self.root = root
        self.sharing = sharing

    def path(self, pointer: Pointer) -> Path:
        """Return the path of a pointer's object."""
        sha256 = pointer.sha256
        return self.root / f"{sha256[:2]}/{sha256[2:4]}/{sha256}"

    def put_all(self, files: Mapping[str, Path]) -> dict[str, Pointer]:
        """Add files in parallel (hashing releases the interpreter lock), and return their pointers by name.

        Parameters
        ----------
        files
            Name to path of each file.

        Raises
        ------
        FileChangedError
            A file was written to meanwhile.
        """
        pointers = in_parallel(self._put, files.values())
        folders = {folder for pointer in pointers for folder in self.path(pointer).parents[:2]}
        sync_all([*folders, self.root])
        return dict(zip(files, pointers, strict=True))

    def _put(self, path: Path) -> Pointer:
        """Add one file by hard link, and make it read-only. Its folder is not synced yet."""
        before = path.stat()
        if before.st_nlink > 1:
            # Another hard link to these bytes exists outside of the lake, and they might be changed through it.
            copy = path.with_name(f"{secrets.token_hex(8)}.copy")
            shutil.copyfile(path, copy)
            copy.replace(path)
            before = path.stat()
        self._protect(path)
        pointer = sha256_of(path)
        after = path.stat()
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise FileChangedError(path.name)
        sync(path)
        self._name(path, pointer)
        return pointer

    def _protect(self, path: Path) -> None:
        path.chmod(self.sharing.read_only())
        self.sharing.adjust(path)

    def _name(self, path: Path, pointer: Pointer) -> None:
        target = self.path(pointer)
        self.sharing.make_folder(target.parent)
        with suppress(FileExistsError):
            os.link(path, target)
            return
        try:
            # Reusing an object renews its age. That fails for another user's file, which keep() checks again.
            with suppress(PermissionError):
                os.utime(target)
            if self.fault(pointer) is None:
                # An older version of this program may not have synced it.
                sync(target)
                return
        except FileNotFoundError:
            pass
        # The object is damaged, or was just collected: replace it by these bytes.
        self._put_link(path, target)

    def restore(self, pointer: Pointer, copy: Path) -> bool:
        """Replace a missing or damaged object by a copy of its bytes, if they are right. Tell whether they are.

        Parameters
        ----------
        pointer
            The object.
        copy
            A file of another name, of this file system or another. It is hashed.
        """
        try:
            if copy.stat().st_size != pointer.size or sha256_of(copy) != pointer:
                return False
        except OSError:
            return False
        target = self.path(pointer)
        self.sharing.make_folder(target.parent)
        aside = target.with_name(f".{secrets.token_hex(8)}.copy")
        try:
            # A file outside of the lake might be changed through its other name, so its bytes are copied.
            shutil.copyfile(copy, aside)
            self._protect(aside)
            if sha256_of(aside) != pointer:
                return False
            sync(aside)
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
        sync_all(target.parents[:3])
        return True

    @staticmethod
    def _put_link(path: Path, target: Path) -> None:
        """Put a link to a file in the place of another file, at once."""
        copy = path.with_name(f"{secrets.token_hex(8)}.copy")
        os.link(path, copy)
        copy.replace(target)

    def keep(self, files: Mapping[str, Path], pointers: Mapping[str, Pointer]) -> None:
        """Add objects again that were collected since :meth:`put_all`. The caller holds the lock of refs."""
        missing = [name for name, pointer in pointers.items() if not self.holds(pointer)]
        for name in missing:
            self._name(files[name], pointers[name])
        sync_all({folder for name in missing for folder in self.path(pointers[name]).parents[:2]})

    def exists(self, pointer: Pointer) -> bool:
        """Tell whether there is an object, sound or not."""
        return self.path(pointer).is_file()

    def holds(self, pointer: Pointer) -> bool:
        """Tell whether an object exists with the right size. Its bytes are not read."""
        try:
            return self.path(pointer).stat().st_size == pointer.size
        except FileNotFoundError:
            return False

    def link(self, pointer: Pointer, target: Path) -> None:
        """Link an object to ``target``, without a copy.

        Parameters
        ----------
        pointer
            The object.
        target
            Path of the new link.

        Raises
        ------
        FileNotFoundError
            The object is missing, or has another size than the pointer.
        """
        if not self.holds(pointer):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path(pointer)))
        try:
            os.link(self.path(pointer), target)
        except OSError as error:
            # Another file system (a read-only lake), or the limit of hard links is reached (65,000 on ext4).
            if error.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM):
                raise
            target.symlink_to(self.path(pointer))

    def fault(self, pointer: Pointer) -> str | None:
        """Hash an object again. Return what is wrong with it, or None."""
        path = self.path(pointer)
        try:
            found = sha256_of(path)
        except FileNotFoundError:
            return f"object {pointer.sha256} is missing"
        except OSError as error:
            return f"object {pointer.sha256} cannot be read: {error.strerror}"
        if found.size != pointer.size:
            return f"object {pointer.sha256} has {found.size} bytes instead of {pointer.size}"
        return None if found == pointer else f"object {pointer.sha256} has another checksum than its name"
