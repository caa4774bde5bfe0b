"""The repair of an embedded lake, from its files to its data, each from what was mended before."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pygit2
from pygit2.enums import ObjectType

from lake_assets.lake.embedded.creation import opened
from lake_assets.lake.embedded.durability import in_parallel
from lake_assets.lake.embedded.expiry import ExpiryRecord
from lake_assets.lake.embedded.failures import translated
from lake_assets.lake.embedded.git_objects import GitObjects, ObjectMissingError
from lake_assets.lake.embedded.locks import locked
from lake_assets.lake.embedded.objects import Objects, Pointer
from lake_assets.lake.embedded.repairs.finding import Finding, put_aside
from lake_assets.lake.embedded.repairs.git_files import mend_files
from lake_assets.lake.embedded.repairs.git_objects import Packs, Sources, mend_loose
from lake_assets.lake.embedded.repairs.git_refs import GitRefs
from lake_assets.lake.errors import LakeUnavailable
from lake_assets.lake.permissions import sharing_of

_LINKS = re.compile(rb"^(tree|parent|object) ([0-9a-f]{40})$", re.MULTILINE)
_ENTRY = re.compile(rb"([0-7]+) ([^\0]+)\0(.{20})", re.DOTALL)
_SUBMODULE = b"160000"


def repair(home: Path, backup: Path | None = None) -> Iterator[Finding]:
    """Find all damage of a lake, mend it where another copy exists, and yield what was found.

    Everything that a branch, a tag or another ref reaches is read and hashed. What is damaged is moved to
    ``lake.git/lake_assets.damaged``, so that nobody takes it for sound.

    Parameters
    ----------
    home
        The lake's folder.
    backup
        Folder of a backup, or of another copy of the lake.

    Raises
    ------
    LakeUnavailable
        There is no lake, or no backup, or the disk cannot be read or written.
    """
    git_dir = home / "lake.git"
    copy = None if backup is None else backup / "lake.git"
    for folder in (git_dir, copy):
        if folder is not None and not folder.is_dir():
            raise LakeUnavailable("there is no lake.git: name a lake's folder", repository=str(folder.parent))
    with translated(str(home)), ExitStack() as held:
        # No garbage is collected meanwhile.
        held.enter_context(locked(git_dir / "lake_assets.gc"))
        yield from mend_files(git_dir, copy)
        yield from Packs(git_dir).mend()
        yield from _Repair(home, copy).run()


class _Repair:
    def __init__(self, home: Path, backup: Path | None) -> None:
        self._home = home
        self._backup = backup
        self._git_dir = home / "lake.git"
        sharing = sharing_of(self._git_dir)
        self._sharing = sharing
        self._repository = opened(self._git_dir)
        self._git_objects = GitObjects(self._repository, sharing)
        self._objects = Objects(self._git_dir / "lfs" / "objects", sharing)
        self._expired = ExpiryRecord(self._git_dir / "lake_assets.expired")
        self._sources = Sources(self._git_dir, backup)
        self._back: dict[str, str] = {}

    def run(self) -> Iterator[Finding]:
        damaged = set(mend_loose(self._git_dir))
        refs = GitRefs(self._repository, self._backup, self._bring_back)
        with locked(self._git_dir / "lake_assets.lock"):
            yield from refs.mend()
        lost, pointers = self._reach()
        self._git_objects.sync()
        self._git_objects.forget_all()
        for name in sorted(damaged | self._back.keys() | lost.keys()):
            yield self._of_git_object(name, lost.get(name))
        yield from self._mend_data(pointers)
        self._share()

    def _of_git_object(self, name: str, where: str | None) -> Finding:
        if where is not None:
            remedy = "write the same data again, or restore it by `lake-assets doctor --repair --from BACKUP`"
            return Finding(f"Git object {name} ({where}) is lost", remedy=remedy)
        if (how := self._back.get(name)) is not None:
            return Finding(f"Git object {name} was damaged or missing", how)
        if name in self._repository:
            return Finding(f"Git object {name} was damaged", "a pack has it, too")
        return Finding(f"Git object {name} was damaged", "nothing needs it")

    def _bring_back(self, name: str) -> bool:
        """Bring a Git object back if it is lost, and tell whether it is there."""
        object_id = bytes.fromhex(name)
        try:
            self._git_objects.read(object_id)
        except ObjectMissingError:
            found = self._sources.find(object_id)
            if found is None:
                return False
            kind, data, self._back[name] = found
            self._git_objects.write(kind, data)
        return True

    def _reach(self) -> tuple[dict[str, str], dict[Pointer, str]]:
        """Bring back all that refs reach. Return what is lost, and the pointers, each with where it belongs."""
        lost: dict[str, str] = {}
        pointers: dict[Pointer, str] = {}
        waiting = deque[tuple[bytes, str]]()
        for reference in self._repository.references.iterator():
            target = reference.target
            if isinstance(target, pygit2.Oid):
                waiting.append((target.raw, f"{reference.shorthand}:"))
        seen: set[bytes] = set()
        while waiting:
            name, where = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            if not self._bring_back(name.hex()):
                lost[name.hex()] = where
                continue
            kind, data = self._git_objects.read_typed(name)
            if kind == ObjectType.BLOB:
                if (pointer := Pointer.parse(data)) is not None:
                    pointers.setdefault(pointer, where)
            elif kind == ObjectType.TREE:
                below = where if where.endswith(":") else f"{where}/"
                waiting += [
                    (child, f"{below}{entry.decode(errors='replace')}")
                    for mode, entry, child in _ENTRY.findall(data)
                    if mode != _SUBMODULE
                ]
            else:
                links = _LINKS.findall(data.partition(b"\n\n")[0])
                # The newest commit that holds something is the one to name, so parents wait for its tree.
                for of, link in links:
                    child = bytes.fromhex(link.decode())
                    if of == b"parent":
                        waiting.appendleft((child, f"{link.decode()[:12]}:"))
                    else:
                        waiting.append((child, where))
        return lost, pointers

    def _mend_data(self, pointers: dict[Pointer, str]) -> Iterator[Finding]:
        faults = in_parallel(self._objects.fault, pointers)
        copies: dict[int, list[Path]] | None = None
        for pointer, fault in zip(pointers, faults, strict=True):
            if fault is None:
                continue
            exists = self._objects.exists(pointer)
            if not exists and self._expired.when(pointer.sha256):
                continue
            if copies is None:
                copies = self._copies_by_size()
            what = f"{pointers[pointer]}: {fault}"
            if (how := self._restored(pointer, copies.get(pointer.size, []))) is not None:
                yield Finding(what, how)
                continue
            if exists:
                put_aside(self._git_dir, self._objects.path(pointer))
            remedy = "publish it again from its source, or restore it by `lake-assets doctor --repair --from BACKUP`"
            yield Finding(what, remedy=f"no other copy was found; {remedy}")

    def _copies_by_size(self) -> dict[int, list[Path]]:
        """Return the files of snapshots and unfinished writes, which may be other names of what was lost."""
        found: dict[int, list[Path]] = {}
        for folder in ("snapshots", "staging"):
            for root, _, names in os.walk(self._home / folder):
                for name in names:
                    path = Path(root, name)
                    if path.is_file() and not path.is_symlink():
                        found.setdefault(path.stat().st_size, []).append(path)
        return found

    def _restored(self, pointer: Pointer, copies: list[Path]) -> str | None:
        if self._backup is not None:
            in_backup = Objects(self._backup / "lfs" / "objects").path(pointer)
            if self._objects.restore(pointer, in_backup):
                return "restored from the backup"
        for copy in copies:
            if self._objects.restore(pointer, copy):
                return f"restored from {copy.relative_to(self._home)}"
        return None

    def _share(self) -> None:
        """Give everything the permissions that ``core.sharedRepository`` asks for."""
        if self._sharing.bits is None:
            return
        self._sharing.adjust(self._home)
        for root, folders, files in os.walk(self._home):
            self._sharing.adjust(*(Path(root, name) for name in (*folders, *files)))
