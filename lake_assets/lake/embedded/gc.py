"""Garbage collection: loose Git objects are packed, and unreachable objects are removed.

An object is reachable from a branch, a tag or any other ref, and from a branch that was deleted less than the grace
time ago. A data object that a reader has linked is kept, too. A link elsewhere, such as a backup's, keeps none. An
unreachable object is removed if nobody wrote or reused it for the grace time. Writing and reusing a file both renew its
modification time.

Writers may run at the same time. Candidates are searched without a lock, and removed under the lock that is needed to
move a ref. Under the lock, the refs that have moved since are followed, and each file is checked again. Before a writer
moves its ref, it checks that all objects that it needs exist, and writes missing ones again. So no ref ever reaches a
removed object, whatever the grace time.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pygit2
from pygit2.enums import ObjectType

from lake_assets.lake.contract import Removable
from lake_assets.lake.embedded.durability import sync_all
from lake_assets.lake.embedded.git_objects import GitObjects
from lake_assets.lake.embedded.locks import locked
from lake_assets.lake.embedded.objects import Objects, Pointer
from lake_assets.lake.embedded.refs import Refs

MANY_PACKS = 10
"""Number of packs from which on the next collection combines them into one."""

DAMAGED = "lake_assets.damaged"
"""Folder for what a repair put aside. Nobody reads it."""

_LINKS = re.compile(rb"^(?:tree|parent|object) ([0-9a-f]{40})$", re.MULTILINE)
_ENTRY = re.compile(rb"([0-7]+) [^\0]+\0(.{20})", re.DOTALL)
_SUBMODULE = b"160000"
_TEMPORARY = "tmp_*"
_LONGEST_WRITE = 3600.0


class _File(NamedTuple):
    path: Path
    size: int
    """Bytes that its removal frees. It can be larger than the file's length; 0 if it has another hard link."""
    date: float
    links: int
    inode: int


@dataclass(slots=True)
class Reached:
    """Reachable objects: ids of Git objects, and SHA-256 of data objects."""

    git: set[bytes] = field(default_factory=set[bytes])
    data: set[str] = field(default_factory=set[str])


class Collector:
    """Collects the garbage of one lake."""

    def __init__(
        self, repository: pygit2.Repository, git_objects: GitObjects, objects: Objects, refs: Refs, answers: Path
    ) -> None:
        self._repository = repository
        self._answers = answers
        self._git_objects = git_objects
        self._objects = objects
        self._refs = refs
        self._git_dir = Path(repository.path)
        self._folder = self._git_dir / "objects"

    def find(self, grace: timedelta) -> tuple[Removable, ...]:
        """Return what :meth:`collect` would remove now."""
        before = time.time() - grace.total_seconds()
        reached = Reached()
        self.reach(self._refs.roots(before), reached)
        packed = set[bytes]().union(*(ids_of(pack) for pack in self._packs()))
        kept = reached.git | packed
        loose = self._loose()
        return _summary(
            [file for name, file in loose.items() if name in kept],
            [file for name, file in loose.items() if name not in kept and file.date <= before],
            self._unreached_data(reached, before),
            self._temporary(before),
        )

    def collect(self, grace: timedelta) -> tuple[Removable, ...]:
        """Pack reachable objects, remove unreachable ones, and return what was removed."""
        with locked(self._git_dir / "lake_assets.gc", self._objects.sharing):
            before = time.time() - grace.total_seconds()
            reached = Reached()
            self.reach(self._refs.roots(before), reached)
            superseded, packed = self._pack(reached, before)
            left = {pack: ids_of(pack) - packed for pack in superseded}
            freed = _removed(file for name, file in self._loose().items() if name in packed)
            # Cached answers that were not used for the grace time, and what was damaged before it.
            for folder in (self._answers, self._git_dir / DAMAGED):
                _removed(file for file in _files(folder) if file.date <= before)
            loose = {name: file for name, file in self._loose().items() if file.date <= before}
            stored = self._unreached_data(reached, before)
            temporary = self._temporary(before)
            with self._refs.frozen():
                self.reach(self._refs.roots(before), reached)
                unreached = (file for name, file in loose.items() if name not in reached.git)
                git = _removed(_still_old(unreached, before))
                for pack, ids in left.items():
                    if not ids & reached.git and (not ids or _date(pack) <= before):
                        _remove_pack(pack)
                unneeded = (file for file in stored if file.path.name not in reached.data)
                data = _removed(self._unused(_still_old(unneeded, before)))
                temporary = _removed(_still_old(temporary, before))
                self._refs.forget_deleted(before)
                self._git_objects.forget_all()
        return _summary(freed, git, data, temporary)

    def reach(self, roots: Iterable[bytes], reached: Reached) -> None:
        """Add the objects that are reachable from the roots.

        Parameters
        ----------
        roots
            Ids of Git objects.
        reached
            What they reach is added here.
        """
        waiting = [root for root in roots if root not in reached.git]
        while waiting:
            name = waiting.pop()
            if name in reached.git:
                continue
            reached.git.add(name)
            kind, data = self._git_objects.read_typed(name)
            if kind == ObjectType.BLOB:
                if pointer := Pointer.parse(data):
                    reached.data.add(pointer.sha256)
                continue
            if kind == ObjectType.TREE:
                found = {child for mode, child in _ENTRY.findall(data) if mode != _SUBMODULE}
            else:
                found = {bytes.fromhex(link.decode()) for link in _LINKS.findall(data.partition(b"\n\n")[0])}
            waiting += found - reached.git

    # Git's own objects

    def _pack(self, reached: Reached, before: float) -> tuple[list[Path], set[bytes]]:
        """Pack the reachable loose objects. Return the superseded packs, and the ids of all packed objects."""
        packs = {pack: ids_of(pack) for pack in self._packs()}
        superseded = [pack for pack, ids in packs.items() if ids - reached.git and _date(pack) <= before]
        if len(packs) - len(superseded) >= MANY_PACKS:
            superseded = list(packs)
        kept = set[bytes]().union(*(ids for pack, ids in packs.items() if pack not in superseded))
        wanted = set(self._loose()).union(*(packs[pack] for pack in superseded)) & reached.git - kept
        if wanted:
            self._git_objects.check(wanted)
            builder = pygit2.PackBuilder(self._repository)
            for name in wanted:
                builder.add(pygit2.Oid(raw=name))
            folder = self._folder / "pack"
            builder.write(folder)
            # Sync the new pack before anything that it replaces is removed.
            made = [path for path in self._packs() if path not in packs]
            made_files = [*made, *(path.with_suffix(".idx") for path in made)]
            self._objects.sharing.adjust(*made_files)
            sync_all([*made_files, folder, self._folder])
            packs |= {path: ids_of(path) for path in made}
        return superseded, set[bytes]().union(*(ids for pack, ids in packs.items() if pack not in superseded))

    def _packs(self) -> list[Path]:
        return [path for path in (self._folder / "pack").glob("pack-*.pack") if path.with_suffix(".idx").is_file()]

    def _loose(self) -> dict[bytes, _File]:
        found: dict[bytes, _File] = {}
        for folder in self._folder.glob("[0-9a-f][0-9a-f]"):
            for file in _files(folder):
                with suppress(ValueError):
                    found[bytes.fromhex(folder.name + file.path.name)] = file
        return found

    def _temporary(self, before: float) -> list[_File]:
        """Return unfinished files of killed writers. No write takes longer than an hour."""
        before = min(before, time.time() - _LONGEST_WRITE)
        folders = (self._folder, self._folder / "pack")
        files = (file for folder in folders for file in _files(folder) if file.path.match(_TEMPORARY))
        return [file for file in files if file.date <= before]

    # Data objects

    def _unreached_data(self, reached: Reached, before: float) -> list[_File]:
        files = (file for folder in self._objects.root.glob("??/??") for file in _files(folder))
        return list(self._unused(file for file in files if file.path.name not in reached.data and file.date <= before))

    def _unused(self, files: Iterable[_File]) -> Iterator[_File]:
        """Yield the files that no reader or writer of this lake has linked."""
        linked: list[_File] = []
        for file in files:
            if file.links == 1:
                yield file
            else:
                linked.append(file)
        if linked:
            used = self._linked_in_home()
            yield from (file for file in linked if file.inode not in used)

    def _linked_in_home(self) -> set[int]:
        """Return the inodes of the files in the lake's home, except those of this repository and of replaced ones."""
        home = self._git_dir.parent
        folders = [path for path in home.iterdir() if path.is_dir() and not path.name.startswith(self._git_dir.name)]
        found = {file.inode for file in _files(home)}
        return found.union(
            file.inode for root in folders for folder, _, _ in os.walk(root) for file in _files(Path(folder))
        )


def ids_of(pack: Path) -> set[bytes]:
    """Return the ids of the objects in a pack, read from its index (format 2)."""
    try:
        data = pack.with_suffix(".idx").read_bytes()
    except FileNotFoundError:
        return set()
    count = int.from_bytes(data[8 + 255 * 4 : 8 + 256 * 4], "big")
    at = 8 + 256 * 4
    return {data[at + 20 * number : at + 20 * number + 20] for number in range(count)}


def _remove_pack(pack: Path) -> None:
    # Plain Git's index of several packs may refer to this one. It is only an optimization.
    for path in pack.parent.glob("multi-pack-index*"):
        path.unlink(missing_ok=True)
    # The index is removed last: a reader that still finds it also looks in other packs.
    for path in (pack, *(path for path in pack.parent.glob(f"{pack.stem}.*") if path != pack)):
        path.unlink(missing_ok=True)


def _date(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()


def _files(folder: Path) -> Iterator[_File]:
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        with suppress(FileNotFoundError):
            if entry.is_file(follow_symlinks=False):
                status = entry.stat(follow_symlinks=False)
                size = 0 if status.st_nlink > 1 else status.st_blocks * 512
                yield _File(Path(entry.path), size, status.st_mtime, status.st_nlink, status.st_ino)


def _still_old(files: Iterable[_File], before: float) -> Iterator[_File]:
    """Yield the files that nobody has written or reused since they were listed."""
    for file in files:
        with suppress(FileNotFoundError):
            status = file.path.lstat()
            if status.st_mtime <= before:
                yield file._replace(links=status.st_nlink, inode=status.st_ino)


def _removed(files: Iterable[_File]) -> list[_File]:
    removed: list[_File] = []
    for file in files:
        with suppress(FileNotFoundError):
            file.path.unlink()
            removed.append(file)
    return removed


def _summary(
    packed: Iterable[_File], git: Iterable[_File], data: Iterable[_File], temporary: Iterable[_File]
) -> tuple[Removable, ...]:
    kinds = {
        "loose Git object that goes into a pack": packed,
        "Git object that nothing reaches": git,
        "data object that nothing reaches": data,
        "unfinished file of a killed writer": temporary,
    }
    found = ((kind, list(files)) for kind, files in kinds.items())
    return tuple(Removable(kind, len(files), sum(file.size for file in files)) for kind, files in found if files)
