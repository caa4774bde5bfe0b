"""Git objects: pointers, trees and commits. libgit2 syncs each of them before renaming it into place.

An object that exists already is trusted only after it was read and hashed, so that writing it again mends damage. A
power loss may leave empty files where a machine or a program does not sync.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import TypeVar

import pygit2
from pygit2 import Commit as GitCommit
from pygit2.enums import ObjectType

from lake_assets.lake.embedded.durability import sync_all
from lake_assets.lake.embedded.failures import by_system
from lake_assets.lake.embedded.packs import unmap_changed
from lake_assets.lake.permissions import UMASK, Sharing

_T = TypeVar("_T")

_LEVEL = 1
"""Of compression. These objects are small, and later collections pack them."""

_BLOCK = 1 << 20
_KNOWN_FILES = 1 << 16
_KINDS = {ObjectType.COMMIT: b"commit", ObjectType.TREE: b"tree", ObjectType.BLOB: b"blob", ObjectType.TAG: b"tag"}


class ObjectMissingError(Exception):
    """A Git object that a commit refers to is missing or unreadable."""


class NotACommitError(Exception):
    """An object that should be a commit is something else. The text says what."""


def id_of(kind: ObjectType, data: bytes) -> str:
    """Return the id that Git gives an object."""
    return hashlib.sha1(b"%s %d\0%s" % (_KINDS[kind], len(data), data), usedforsecurity=False).hexdigest()


def loose_path(objects: Path, name: str) -> Path:
    """Return the path of an object that is in no pack."""
    return objects / name[:2] / name[2:]


def is_sound(path: Path, name: str) -> bool:
    """Tell whether an object's file exists and has the bytes that its name says. It is read from the disk."""
    digest, inflate = hashlib.sha1(usedforsecurity=False), zlib.decompressobj()
    try:
        with path.open("rb") as file:
            for block in iter(partial(file.read, _BLOCK), b""):
                digest.update(inflate.decompress(block))
    except (OSError, zlib.error):
        return False
    return inflate.eof and not inflate.unused_data and digest.hexdigest() == name


def _missing(name: str, error: Exception) -> Exception:
    """Return the error for an object that cannot be read: it is damaged, unless the system refuses to read it."""
    return error if by_system(error) else ObjectMissingError(name)


@dataclass(eq=False, slots=True)
class _Written:
    kind: ObjectType
    data: bytes


class GitObjects:
    """The object database of a repository. It remembers written objects until a ref reaches them.

    An object that is written may exist already: another process may not have synced it yet, or it may be garbage that
    is about to be collected. So before a ref moves, each object is checked again and synced.

    Parameters
    ----------
    repository
        The repository.
    sharing
        Who may use its files.
    """

    def __init__(self, repository: pygit2.Repository, sharing: Sharing = UMASK) -> None:
        self._repository = repository
        self._sharing = sharing
        self._folder = Path(repository.path) / "objects"
        self._loose_files = str(self._folder)
        # It looks for no packed object, so it can replace one that is damaged in its pack.
        self._loose = pygit2.Odb()
        self._loose.add_backend(pygit2.OdbBackendLoose(str(self._folder), _LEVEL, True), 1)
        # Another process may just have created the repository.
        home = Path(repository.path).parent
        self._new_folders = {self._folder, home, home.parent}
        self._pending: dict[str, _Written] = {}
        self._mutex = Lock()
        self._whole: dict[str, tuple[int, int, int]] = {}
        self._collected = Path(repository.path) / "lake_assets.collected"
        self._known_collection = self._last_collection()
        self._packs = unmap_changed(repository)
        self.entry = lru_cache(maxsize=1 << 14)(self._entry)

    def read(self, object_id: bytes) -> bytes:
        """Return the raw bytes of an object.

        Raises
        ------
        ObjectMissingError
            The repository is damaged.
        """
        return self.read_typed(object_id)[1]

    def read_typed(self, object_id: bytes) -> tuple[ObjectType, bytes]:
        """Return the kind and the raw bytes of an object."""
        name = pygit2.Oid(raw=object_id)

        def read() -> tuple[int, bytes]:
            # An object may be damaged in its pack, and written again since.
            if self._is_loose(str(name)):
                with suppress(KeyError):  # It has just been packed.
                    return self._loose.read(name)
            return self._repository.odb.read(name)

        try:
            kind, data = self._found(read)
            return ObjectType(kind), data
        except (KeyError, pygit2.GitError) as error:
            raise _missing(object_id.hex(), error) from error

    def _is_loose(self, name: str) -> bool:
        """Tell whether an object has a file of its own, and refuse one that is not whole: libgit2 reads it for ever."""
        path = f"{self._loose_files}/{name[:2]}/{name[2:]}"
        try:
            # By a Path for each object that is read, a publication took a quarter more CPU time.
            status = os.stat(path)  # noqa: PTH116
        except FileNotFoundError:
            return False
        file = (status.st_ino, status.st_size, status.st_mtime_ns)
        if self._whole.get(name) != file:
            if not is_sound(Path(path), name):
                if not Path(path).exists():
                    return False  # It has just been packed.
                raise ObjectMissingError(name)
            if len(self._whole) >= _KNOWN_FILES:
                self._whole.clear()
            self._whole[name] = file
        return True

    def check(self, names: Iterable[bytes]) -> None:
        """Check objects that libgit2 is to read by itself.

        Parameters
        ----------
        names
            Their ids.

        Raises
        ------
        ObjectMissingError
            The file of one is damaged.
        """
        for name in names:
            self._is_loose(name.hex())

    def check_prefix(self, prefix: str) -> None:
        """Check the objects whose ids begin with a prefix; see :meth:`check`."""
        for path in (self._folder / prefix[:2]).glob(f"{prefix[2:]}*"):
            self._is_loose(prefix[:2] + path.name)

    def _found(self, read: Callable[[], _T]) -> _T:
        """Read an object, and again while others pack objects anew: it left one pack, and is in a later one."""
        while True:
            packs = self._packs
            try:
                return read()
            except KeyError:
                self.refresh()
                if self._packs == packs:
                    raise

    def _entry(self, folder: bytes, name: str) -> tuple[bytes, bytes] | None:
        """Return the id and the mode of a tree's entry. The rest of the tree is not parsed."""
        try:
            tree = self._object(pygit2.Oid(raw=folder)).peel(pygit2.Tree)
        except pygit2.GitError as error:
            raise _missing(folder.hex(), error) from error
        try:
            found = tree[name]
        except KeyError:
            return None
        return found.id.raw, b"%o" % found.filemode

    def commit(self, object_id: pygit2.Oid) -> GitCommit:
        """Return a commit, also by a tag of it.

        Raises
        ------
        ObjectMissingError
            The object is missing or damaged.
        NotACommitError
            It is neither a commit nor a tag of one.
        """
        found = self._object(object_id)
        tagged = found.type == ObjectType.TAG
        while found.type == ObjectType.TAG:
            found = self._object(found.peel(pygit2.Tag).target)
        if found.type != ObjectType.COMMIT:
            kind = ObjectType(found.type).name.lower()
            raise NotACommitError(f"a tag of a {kind}" if tagged else f"a {kind}")
        return found.peel(GitCommit)

    def parents(self, commit: GitCommit) -> list[GitCommit]:
        """Return the parents of a commit."""
        return [self.commit(parent) for parent in commit.parent_ids]

    def _object(self, object_id: pygit2.Oid) -> pygit2.Object:
        def read() -> pygit2.Object:
            self._is_loose(str(object_id))
            return self._repository[object_id]

        try:
            return self._found(read)
        except (KeyError, pygit2.GitError) as error:
            raise _missing(str(object_id), error) from error

    def write(self, kind: ObjectType, data: bytes) -> bytes:
        """Store an object and return its id."""
        made = self._store(kind, data)
        with self._mutex:
            self._pending[str(made)] = _Written(kind, data)
        return made.raw

    def write_commit(
        self, author: pygit2.Signature, text: str, tree: bytes, parents: Sequence[pygit2.Oid]
    ) -> GitCommit:
        """Store a commit. No branch moves."""
        self.check([tree, *(parent.raw for parent in parents)])
        made = self._repository.create_commit_string(author, author, text, pygit2.Oid(raw=tree), list(parents))
        return self.commit(pygit2.Oid(raw=self.write(ObjectType.COMMIT, str(made).encode())))

    def _store(self, kind: ObjectType, data: bytes) -> pygit2.Oid:
        """Store an object, unless there is a sound one. That one's age is renewed."""
        name = id_of(kind, data)
        path = loose_path(self._folder, name)
        if is_sound(path, name):
            with suppress(FileNotFoundError, PermissionError):
                os.utime(path)
                return pygit2.Oid(hex=name)
        path.unlink(missing_ok=True)
        if self._is_packed(name):
            return self._repository.odb.write(kind, data)
        made = self._loose.write(kind, data)
        self._sharing.adjust(path, path.parent)
        return made

    def _is_packed(self, name: str) -> bool:
        try:
            self._repository.odb.read(pygit2.Oid(hex=name))
        except (KeyError, pygit2.GitError):
            return False
        return True

    def put_back(self) -> None:
        """Write objects again that were collected meanwhile. The caller holds the lock of refs, so none goes after."""
        with self._mutex:
            waiting = dict(self._pending)
        for name, written in waiting.items():
            if not loose_path(self._folder, name).exists():
                self._store(written.kind, written.data)

    def sync(self) -> None:
        """Sync the folders of all objects that were written since the last sync."""
        with self._mutex:
            waiting = dict(self._pending)
        folders = {self._folder / name[:2] for name in waiting}
        sync_all(folder for folder in [*self._new_folders, self._folder, *folders] if folder.is_dir())
        self._new_folders = set()
        # Forget the objects only after the sync, except those that another thread has written again meanwhile.
        with self._mutex:
            self._pending = {
                name: written for name, written in self._pending.items() if written is not waiting.get(name)
            }

    def forget_all(self) -> None:
        """Make every process drop its caches, since some cached objects have just been collected."""
        self._collected.touch()
        self._sharing.adjust(self._collected)
        self.refresh()

    def refresh(self) -> None:
        """Drop the caches if garbage was collected since they were filled, or a pack is not as it was."""
        last, packs = self._last_collection(), unmap_changed(self._repository)
        if (last, packs) != (self._known_collection, self._packs):
            self._known_collection, self._packs = last, packs
            self._repository.free()
            self.entry.cache_clear()

    def _last_collection(self) -> int:
        try:
            return self._collected.stat().st_mtime_ns
        except FileNotFoundError:
            return 0
