"""Data files as Git-LFS objects: hashed, synced, hard-linked in, read-only, and never changed."""

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
from lake_assets.lake.embedded.scratch import make_folder

_BUFFER = 1 << 20
_VERSION = "version https://git-lfs.github.com/spec/v1"
_POINTER = re.compile(re.escape(_VERSION) + r"\noid sha256:([0-9a-f]{64})\nsize ([0-9]+)\n")


class Pointer(NamedTuple):
    """What stands in Git for a data file: its SHA-256 and its size in bytes."""

    sha256: str
    size: int

    def render(self) -> bytes:
        """Return the pointer file, as git-lfs writes it."""
        return f"{_VERSION}\noid sha256:{self.sha256}\nsize {self.size}\n".encode()

    @classmethod
    def parse(cls, data: bytes) -> Pointer | None:
        """Return what a pointer file says, or None where it is none."""
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
    """The object store at ``lake.git/lfs/objects``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, pointer: Pointer) -> Path:
        """Return where the bytes of a pointer lie."""
        sha256 = pointer.sha256
        return self.root / sha256[:2] / sha256[2:4] / sha256

    def put_all(self, files: Mapping[str, Path]) -> dict[str, Pointer]:
        """Take files in, several at once (hashing lets go of the interpreter lock); name -> pointer.

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
        """Take one file in by hard link; it becomes read-only. Its name is not synced yet."""
        before = path.stat()
        if before.st_nlink > 1:
            # Another name for these bytes stands outside the lake, and might be written through.
            copy = path.with_name(f"{secrets.token_hex(8)}.copy")
            shutil.copyfile(path, copy)
            copy.replace(path)
            before = path.stat()
        path.chmod(0o444)
        pointer = sha256_of(path)
        after = path.stat()
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise FileChangedError(path.name)
        sync(path)
        self._name(path, pointer)
        return pointer

    def _name(self, path: Path, pointer: Pointer) -> None:
        target = self.path(pointer)
        make_folder(target.parent)
        with suppress(FileExistsError):
            os.link(path, target)
            return
        try:
            # Who finds it relies on it: its age begins anew. Another user's cannot be dated; keep() looks again.
            with suppress(PermissionError):
                os.utime(target)
            if self.holds(pointer):
                # A lake of before may not have synced it.
                sync(target)
                return
        except FileNotFoundError:
            pass
        # Left short by a power loss, or collected just now: these are the right bytes.
        copy = path.with_name(f"{secrets.token_hex(8)}.copy")
        os.link(path, copy)
        copy.replace(target)

    def keep(self, files: Mapping[str, Path], pointers: Mapping[str, Pointer]) -> None:
        """Put back what was collected since :meth:`put_all`; nothing is collected while the lock of refs is held."""
        missing = [name for name, pointer in pointers.items() if not self.holds(pointer)]
        for name in missing:
            self._name(files[name], pointers[name])
        sync_all({folder for name in missing for folder in self.path(pointers[name]).parents[:2]})

    def holds(self, pointer: Pointer) -> bool:
        """Tell whether an object is there in full size; its bytes are not read."""
        try:
            return self.path(pointer).stat().st_size == pointer.size
        except FileNotFoundError:
            return False

    def link(self, pointer: Pointer, target: Path) -> None:
        """Let an object appear at ``target``, without a copy.

        Raises
        ------
        FileNotFoundError
            The object is missing, or is not of the pointer's size.
        """
        if not self.holds(pointer):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path(pointer)))
        try:
            os.link(self.path(pointer), target)
        except OSError as error:
            # Another file system (a read-only lake), or as many links as this one keeps (65,000 on ext4).
            if error.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM):
                raise
            target.symlink_to(self.path(pointer))

    def fault(self, pointer: Pointer) -> str | None:
        """Hash an object again and say what is wrong with it, or None."""
        path = self.path(pointer)
        try:
            found = sha256_of(path)
        except FileNotFoundError:
            return f"object {pointer.sha256} is missing"
        except OSError as error:
            return f"object {pointer.sha256} cannot be read: {error.strerror}"
        if found.size != pointer.size:
            return f"object {pointer.sha256} has {found.size} bytes instead of {pointer.size}"
        return None if found == pointer else f"object {pointer.sha256} holds other bytes than its name says"
