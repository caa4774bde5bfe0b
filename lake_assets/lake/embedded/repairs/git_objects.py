"""Git's objects: damaged files are put aside, and the objects come back from packs, a backup or the data themselves."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

import pygit2
from pygit2.enums import ObjectType

from lake_assets.lake.embedded.creation import opened
from lake_assets.lake.embedded.gc import ids_of
from lake_assets.lake.embedded.git_objects import GitObjects, ObjectMissingError, id_of, is_sound
from lake_assets.lake.embedded.objects import Pointer
from lake_assets.lake.embedded.packs import unmap
from lake_assets.lake.embedded.repairs.finding import Finding, put_aside
from lake_assets.lake.names import is_commit_id


class Packs:
    """Checks the packs of a repository, before it is opened."""

    def __init__(self, git_dir: Path) -> None:
        self._git_dir = git_dir
        self._folder = git_dir / "objects" / "pack"

    def mend(self) -> Iterator[Finding]:
        """Yield the damaged packs. What can still be read of them goes into files of its own."""
        for path in self._folder.glob("multi-pack-index*"):
            # Only an optimization of plain Git.
            if not _ends_in_its_hash(path):
                put_aside(self._git_dir, path)
        for index in self._folder.glob("*.idx"):
            if not index.with_suffix(".pack").is_file():
                put_aside(self._git_dir, index)
                yield Finding(f"a pack was lost: lake.git/objects/pack/{index.stem}.pack", "its index was put aside")
        for pack in sorted(self._folder.glob("*.pack")):
            index = pack.with_suffix(".idx")
            name = f"lake.git/objects/pack/{pack.name}"
            if _ends_in_its_hash(pack):
                if not _ends_in_its_hash(index):
                    yield self._indexed_again(pack, index, name)
            else:
                yield self._salvaged(pack, index, name)

    def _indexed_again(self, pack: Path, index: Path, name: str) -> Finding:
        what = f"the index of {name} was damaged"
        if index.exists():
            put_aside(self._git_dir, index)
        git = shutil.which("git")
        if git is None:
            return Finding(what, remedy=f"install git, and run `git index-pack {pack}`")
        ended = subprocess.run([git, "index-pack", str(pack)], capture_output=True, check=False)
        if ended.returncode:
            return self._salvaged(pack, index, name)
        return Finding(what, "made anew")

    def _salvaged(self, pack: Path, index: Path, name: str) -> Finding:
        saved: list[tuple[ObjectType, bytes]] = []
        ids = ids_of(index) if _ends_in_its_hash(index) else set[bytes]()
        # What this process has mapped may be more than what is left of the pack.
        unmap(opened(self._git_dir))
        odb = pygit2.Odb()
        odb.add_backend(pygit2.OdbBackendPack(str(self._git_dir / "objects")), 1)
        for name_of_object in ids:
            try:
                kind, data = odb.read(pygit2.Oid(raw=name_of_object))
            except (KeyError, pygit2.GitError):
                continue
            if id_of(ObjectType(kind), data) == name_of_object.hex():
                saved.append((ObjectType(kind), data))
        for path in (pack, index):
            if path.exists():
                put_aside(self._git_dir, path)
        objects = GitObjects(opened(self._git_dir))
        for kind, data in saved:
            objects.write(kind, data)
        objects.sync()
        count = len(ids) or "unknown number of"
        return Finding(f"{name} was damaged", f"{len(saved)} of its {count} object(s) were saved")


def mend_loose(git_dir: Path) -> Iterator[str]:
    """Put aside the files of objects that are damaged, and yield their ids."""
    for path in sorted((git_dir / "objects").glob("[0-9a-f][0-9a-f]/*")):
        name = path.parent.name + path.name
        if is_commit_id(name) and not is_sound(path, name):
            put_aside(git_dir, path)
            yield name


class Sources:
    """Where a lost Git object may be found again."""

    def __init__(self, git_dir: Path, backup: Path | None) -> None:
        self._data = git_dir / "lfs" / "objects"
        self._backup = GitObjects(opened(backup)) if backup is not None else None

    def find(self, name: bytes) -> tuple[ObjectType, bytes, str] | None:
        """Return an object's kind, its bytes and where they come from, or None.

        Parameters
        ----------
        name
            Id of the object.
        """
        if self._backup is not None:
            try:
                return *self._backup.read_typed(name), "from the backup"
            except ObjectMissingError:
                pass
        if (pointer := self._pointers.get(name)) is not None:
            return ObjectType.BLOB, pointer, "made anew from its data"
        return None

    @cached_property
    def _pointers(self) -> Mapping[bytes, bytes]:
        """The pointer of each data object that there is, by its Git id."""
        found: dict[bytes, bytes] = {}
        for path in self._data.glob("??/??/*"):
            if len(path.name) == len(hashlib.sha256().hexdigest()):
                pointer = Pointer(path.name, path.stat().st_size).render()
                found[bytes.fromhex(id_of(ObjectType.BLOB, pointer))] = pointer
        return found


def _ends_in_its_hash(path: Path) -> bool:
    """Tell whether a pack or an index is whole: its last 20 bytes are the hash of all others."""
    digest, tail = hashlib.sha1(usedforsecurity=False), b""
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                tail += block
                digest.update(tail[:-20])
                tail = tail[-20:]
    except OSError:
        return False
    return len(tail) == 20 and digest.digest() == tail
