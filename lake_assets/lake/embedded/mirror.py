"""Copies a repository's history into another one: only what is new there, and whole before a ref names it.

Data objects come first, then Git's objects in one pack, and the refs last, all of them in one file that is renamed
into place. So a copy that is killed leaves the refs as they were. A commit that a ref of the copy reaches is complete,
so its history is not read again.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import pygit2
from pygit2.enums import ObjectType

from lake_assets.lake.embedded.durability import in_parallel, sync, sync_all
from lake_assets.lake.embedded.git_objects import GitObjects, NotACommitError, ObjectMissingError
from lake_assets.lake.embedded.history import only_in
from lake_assets.lake.embedded.objects import Objects, Pointer
from lake_assets.lake.embedded.packs import open_repository
from lake_assets.lake.embedded.refs import names_of
from lake_assets.lake.permissions import sharing_of

_ENTRY = re.compile(rb"([0-7]+) ([^\0]+)\0(.{20})", re.DOTALL)
_FOLDER, _SUBMODULE = b"40000", b"160000"
_SETTINGS = ("config", "lake_assets.expired", "lake_assets.deleted")
"""What is copied beside objects and refs: the format, and what was expired or deleted when."""

_MISSED = "lake_assets.missed"
_BUFFER = 1 << 20


@dataclass(slots=True)
class _Found:
    """Git objects to copy, in the order of their discovery, and the pointers that they hold, each with a path."""

    git: dict[bytes, None] = field(default_factory=dict[bytes, None])
    data: dict[Pointer, str] = field(default_factory=dict[Pointer, str])


@dataclass(frozen=True, slots=True)
class Mirrored:
    """What one update of a copy did.

    Parameters
    ----------
    copied, linked
        Number of data objects whose bytes were copied, and of those that are hard links.
    size
        Size of both in bytes.
    missing
        Path of each file whose data the source lacks or holds damaged, and the copy lacks, too.
    """

    copied: int
    linked: int
    size: int
    missing: tuple[str, ...]


class Mirror:
    """Updates the copy of a lake's repository at ``target``, which is made at the first update.

    Parameters
    ----------
    source
        The lake's repository.
    target
        Folder of the copy.
    link
        Add data by hard link where the file system allows it. Otherwise the bytes are copied, and hashed.
    check
        Hash what the copy holds of the newest commits, and replace what is damaged.
    """

    def __init__(self, source: pygit2.Repository, target: Path, *, link: bool = True, check: bool = False) -> None:
        self._source = source
        self._from = Path(source.path)
        self._git = GitObjects(source)
        self._stored = Objects(self._from / "lfs" / "objects")
        self._target = target
        self._sharing = sharing_of(self._from)
        self._objects = Objects(target / "lfs" / "objects", self._sharing)
        self._link = link
        self._check = check
        self._entries = lru_cache(maxsize=4096)(self._read_entries)

    def update(self, refs: Mapping[str, pygit2.Oid]) -> Mirrored:
        """Copy what the refs reach, and then the refs.

        Parameters
        ----------
        refs
            Full names of refs, and the objects that they name.

        Raises
        ------
        ObjectMissingError
            A Git object of the source is missing or damaged. The refs of the copy are as before.
        """
        self._make_folders()
        before = repository_at(self._target)
        known = set(refs_of(before).values()) if before is not None else set[pygit2.Oid]()
        found = self._new(refs.values(), known)
        newest: dict[Pointer, str] = {}
        self._pointers(refs.values(), newest)
        expired = self._expired()
        mirrored = self._add_data(self._missed() | found.data | newest, newest, expired)
        self._pack([name for name in found.git if before is None or pygit2.Oid(raw=name) not in before.odb])
        for name in _SETTINGS:
            if (self._from / name).is_file():
                self._replace(self._target / name, (self._from / name).read_bytes())
        self._switch(refs)
        self._drop_expired(expired, {pointer.sha256 for pointer in newest})
        return mirrored

    # What is new

    def _new(self, tips: Iterable[pygit2.Oid], known: Iterable[pygit2.Oid]) -> _Found:
        """Return what the tips reach and the known objects do not."""
        found = _Found()
        commits: list[pygit2.Oid] = []
        for tip in tips:
            kind, data = self._git.read_typed(tip.raw)
            while kind == ObjectType.TAG:
                found.git[tip.raw] = None
                tip = pygit2.Oid(hex=data.partition(b"\n")[0].removeprefix(b"object ").decode())
                kind, data = self._git.read_typed(tip.raw)
            if kind == ObjectType.COMMIT:
                commits.append(tip)
            else:
                self._compare(tip.raw, kind == ObjectType.TREE, [], "", found)
        hidden: list[pygit2.Commit] = []
        for name in known:
            # What the source has collected since is met again as part of what is new.
            with suppress(ObjectMissingError, NotACommitError):
                hidden.append(self._git.commit(name))
        for commit in only_in(map(self._git.commit, commits), hidden, self._git.commit):
            found.git[commit.id.raw] = None
            before = [parent.tree_id.raw for parent in self._git.parents(commit)]
            self._compare(commit.tree_id.raw, True, before, "", found)
        return found

    def _compare(self, node: bytes, is_folder: bool, before: Sequence[bytes], path: str, found: _Found) -> None:
        """Add a tree or file and what it holds, except what lies at the same path in one of the parents."""
        if node in before or node in found.git:
            return
        if not is_folder:
            found.git[node] = None
            pointer = Pointer.parse(self._git.read(node))
            if pointer is not None:
                found.data.setdefault(pointer, path)
            return
        parents = [self._entries(parent) for parent in before]
        entries = self._entries(node)
        found.git[node] = None
        for name, (child, below) in entries.items():
            there = [parent[name] for parent in parents if name in parent]
            if (child, below) not in there:
                folders = [other for other, other_below in there if other_below]
                self._compare(child, below, folders if below else [], f"{path}/{name}".lstrip("/"), found)

    def _pointers(self, tips: Iterable[pygit2.Oid], found: dict[Pointer, str]) -> None:
        """Add every pointer that the tips themselves hold, each with a path."""
        seen: set[bytes] = set()
        waiting: list[tuple[bytes, bool, str]] = []
        for tip in tips:
            name, kind, data = tip.raw, *self._git.read_typed(tip.raw)
            while kind in (ObjectType.TAG, ObjectType.COMMIT):
                # The first line names the tagged object, or the commit's tree.
                name = bytes.fromhex(data.partition(b"\n")[0].partition(b" ")[2].decode())
                kind, data = self._git.read_typed(name)
            waiting.append((name, kind == ObjectType.TREE, ""))
        while waiting:
            node, is_folder, path = waiting.pop()
            if node in seen:
                continue
            seen.add(node)
            if is_folder:
                children = self._entries(node).items()
                waiting += ((child, below, f"{path}/{name}".lstrip("/")) for name, (child, below) in children)
            elif (pointer := Pointer.parse(self._git.read(node))) is not None:
                found.setdefault(pointer, path)

    def _read_entries(self, tree: bytes) -> dict[str, tuple[bytes, bool]]:
        return {
            name.decode("utf-8", "surrogateescape"): (child, mode == _FOLDER)
            for mode, name, child in _ENTRY.findall(self._git.read(tree))
            if mode != _SUBMODULE
        }

    # Data

    def _add_data(self, wanted: Mapping[Pointer, str], newest: Mapping[Pointer, str], expired: set[str]) -> Mirrored:
        # Bytes that expired and were written again belong to old commits, too.
        again = (Pointer(name, size) for name in expired if (size := self._size(name)) is not None)
        wanted = {**dict.fromkeys(again, ""), **wanted}
        absent = [
            pointer
            for pointer in wanted
            if not self._objects.holds(pointer)
            or (self._check and pointer in newest and self._objects.fault(pointer) is not None)
        ]
        how = dict(zip(absent, in_parallel(self._add, absent), strict=True))
        sync_all({folder for pointer in absent for folder in self._folders(pointer)})
        lost = [pointer for pointer in absent if how[pointer] is None and pointer.sha256 not in expired]
        lines = "".join(f"{pointer.sha256} {pointer.size} {wanted[pointer]}\n" for pointer in lost)
        if lines or (self._target / _MISSED).exists():
            self._replace(self._target / _MISSED, lines.encode())
        return Mirrored(
            copied=sum(done == "copied" for done in how.values()),
            linked=sum(done == "linked" for done in how.values()),
            size=sum(pointer.size for pointer in absent if how[pointer] is not None),
            missing=tuple(sorted(wanted[pointer] or pointer.sha256 for pointer in lost)),
        )

    def _missed(self) -> dict[Pointer, str]:
        """Return what an earlier update could not copy. It may have been mended since."""
        with suppress(FileNotFoundError):
            lines = (line.split(" ", 2) for line in (self._target / _MISSED).read_text().splitlines())
            return {Pointer(sha256, int(size)): path for sha256, size, path in lines}
        return {}

    def _add(self, pointer: Pointer) -> str | None:
        """Add a data object under its name at once. Return how it was added; None if the source lacks it."""
        target = self._objects.path(pointer)
        origin = self._stored.path(pointer)
        if not self._stored.holds(pointer):
            return None
        self._sharing.make_folder(target.parent)
        new = target.with_name(f".{secrets.token_hex(8)}")
        try:
            if self._link and not self._check and _linked(origin, new):
                new.replace(target)
                return "linked"
            if not _copied(origin, new, pointer):
                return None
            new.chmod(self._sharing.read_only())
            self._sharing.adjust(new)
            sync(new)
            new.replace(target)
            return "copied"
        except FileNotFoundError:
            return None  # It has just expired.
        finally:
            new.unlink(missing_ok=True)

    def _folders(self, pointer: Pointer) -> Iterator[Path]:
        folder = self._objects.path(pointer).parent
        return (path for path in (folder, folder.parent, self._objects.root) if path.is_dir())

    def _size(self, sha256: str) -> int | None:
        with suppress(FileNotFoundError):
            return self._stored.path(Pointer(sha256, 0)).stat().st_size
        return None

    def _expired(self) -> set[str]:
        with suppress(FileNotFoundError):
            lines = (self._from / "lake_assets.expired").read_text().splitlines()
            return {line.split()[0] for line in lines if len(line.split()) == 2}
        return set()

    def _drop_expired(self, expired: set[str], needed: set[str]) -> None:
        """Remove what has expired in the source, so that erased data do not live on in the copy."""
        for name in expired - needed:
            if self._size(name) is None:
                self._objects.path(Pointer(name, 0)).unlink(missing_ok=True)

    # Git's files

    def _make_folders(self) -> None:
        folders = ("objects/info", "objects/pack", "refs/heads", "refs/tags", "lfs/objects")
        for folder in folders:
            self._sharing.make_folder(self._target / folder)
        sync_all(parent for folder in folders for parent in (self._target / folder).parents if parent.is_dir())

    def _pack(self, names: Sequence[bytes]) -> None:
        if not names:
            return
        self._git.check(names)
        builder = pygit2.PackBuilder(self._source)
        for name in names:
            builder.add(pygit2.Oid(raw=name))
        folder = self._target / "objects" / "pack"
        before = set(folder.iterdir())
        builder.write(str(folder))
        made = set(folder.iterdir()) - before
        self._sharing.adjust(*made)
        sync_all([*made, folder])

    def _switch(self, refs: Mapping[str, pygit2.Oid]) -> None:
        """Replace all refs of the copy at once, and make it a repository if it is not one yet."""
        lines = "".join(f"{refs[name]} {name}\n" for name in sorted(refs))
        self._replace(self._target / "packed-refs", lines.encode())
        # Loose refs are there if somebody has used the copy as a lake. Git prefers them to those in the one file.
        for path in sorted((self._target / "refs").rglob("*"), reverse=True):
            if path.is_file():
                path.unlink()
        if not (self._target / "HEAD").exists():
            self._replace(self._target / "HEAD", b"ref: refs/heads/main\n")

    def _replace(self, path: Path, content: bytes) -> None:
        """Write a file at once: the old content or the new, even after a power loss."""
        new = path.with_name(f"{path.name}.new")
        new.write_bytes(content)
        self._sharing.adjust(new)
        sync(new)
        new.replace(path)
        sync(path.parent)


def repository_at(git_dir: Path) -> pygit2.Repository | None:
    """Return the repository of a folder; None if there is none, or its first copy was killed."""
    if not (git_dir / "HEAD").is_file():
        return None
    return open_repository(git_dir)


def refs_of(repository: pygit2.Repository) -> dict[str, pygit2.Oid]:
    """Return the refs of a repository by their full names.

    Raises
    ------
    pygit2.GitError
        One of them is damaged, so a copy would lack it.
    """
    found: dict[str, pygit2.Oid] = {}
    for name in names_of(repository):
        # A ref may refer to one that does not exist.
        with suppress(KeyError):
            target = repository.references[name].resolve().target
            if isinstance(target, pygit2.Oid):
                found[name] = target
    return found


def _linked(origin: Path, new: Path) -> bool:
    try:
        os.link(origin, new)
    except OSError as error:
        # Another file system, the limit of links, or another user's file.
        if error.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM, errno.ENOTSUP):
            raise
        return False
    return True


def _copied(origin: Path, new: Path, pointer: Pointer) -> bool:
    """Copy a file, and tell whether its bytes are those of the pointer."""
    digest = hashlib.sha256()
    with origin.open("rb") as source, new.open("xb") as copy:
        while block := source.read(_BUFFER):
            digest.update(block)
            copy.write(block)
    return digest.hexdigest() == pointer.sha256
