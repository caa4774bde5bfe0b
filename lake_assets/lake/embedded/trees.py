"""Trees of a commit: find, list, graft, compare, merge. Only subtrees that differ are read.

A node is a file (the blob of its LFS pointer) or a folder (a Git tree). None means that nothing exists at a path. Files
are compared and merged by blob id, and pointers are never merged line by line. What other programs commit (plain files,
programs, symbolic links, submodules) keeps its mode.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from pygit2.enums import ObjectType

from lake_assets.lake.embedded.git_objects import GitObjects

_ENTRY = re.compile(rb"([0-7]+) ([^\0]+)\0(.{20})", re.DOTALL)
_FOLDER, _FILE = b"40000", b"100644"
_LINK, _SUBMODULE = b"120000", b"160000"
_MODES = frozenset({_FOLDER, _FILE, b"100755", _LINK, _SUBMODULE})


class Node(NamedTuple):
    """An entry of a tree: its Git id (20 bytes) and its mode."""

    id: bytes
    mode: bytes

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.mode == _FOLDER

    @property
    def is_file(self) -> bool:
        """Whether it is a file with bytes of its own: no folder, symbolic link or submodule."""
        return self.mode not in (_FOLDER, _LINK, _SUBMODULE)

    @property
    def kind(self) -> str:
        """What Git calls it."""
        return {_FOLDER: "folder", _LINK: "symbolic link", _SUBMODULE: "submodule"}.get(self.mode, "file")


def folder_node(object_id: bytes) -> Node:
    """Return the node of a tree."""
    return Node(object_id, _FOLDER)


def _as_git_counts(mode: bytes) -> bytes:
    """Return the mode that Git takes a mode of an old program for."""
    if mode in _MODES:
        return mode
    bits = int(mode, 8)
    if bits & 0o170000 == 0o040000:
        return _FOLDER
    return b"100755" if bits & 0o100 else _FILE


Entries = Mapping[str, Node]
Change = tuple[str, Node | None, Node | None]
"""A path, and its file on the left and on the right side."""


class FileInTheWayError(Exception):
    """A folder cannot be created, because a file exists at its path."""


class Trees:
    """The trees in a repository's object database."""

    def __init__(self, objects: GitObjects) -> None:
        self._objects = objects
        self.entries = lru_cache(maxsize=1024)(self._entries)

    def read(self, node: Node) -> bytes:
        """Return the raw bytes of a node."""
        return self._objects.read(node.id)

    def write_file(self, data: bytes) -> Node:
        """Store the bytes of a pointer file."""
        return Node(self._objects.write(ObjectType.BLOB, data), _FILE)

    def _entries(self, folder: Node | None) -> Entries:
        """Return the direct entries of a folder, in path order. They are cached, so do not change them."""
        if folder is None:
            return {}
        found = _ENTRY.findall(self.read(folder))
        return {
            name.decode("utf-8", "surrogateescape"): Node(node_id, _as_git_counts(mode))
            for mode, name, node_id in found
        }

    def _write(self, entries: Entries) -> Node | None:
        if not entries:
            return None
        raw = [(name.encode("utf-8", "surrogateescape"), node) for name, node in entries.items()]
        # Git sorts a folder as if its name ended in a slash, which is the order of whole paths.
        raw.sort(key=lambda item: item[0] + b"/" if item[1].is_folder else item[0])
        data = b"".join(b"%s %s\0%s" % (node.mode, name, node.id) for name, node in raw)
        return folder_node(self._objects.write(ObjectType.TREE, data))

    def find(self, node: Node | None, path: str) -> Node | None:
        """Return the node at a path below a node. The empty path is the node itself."""
        for name in path.split("/") if path else ():
            if node is None or not node.is_folder:
                return None
            found = self._objects.entry(node.id, name)
            node = Node(*found) if found else None
        return node

    def files(self, node: Node | None, path: str = "", after: str = "") -> Iterator[tuple[str, Node]]:
        """Yield the files at or below a node that sort after ``after``, with their paths and in path order."""
        if node is None:
            return
        if not node.is_folder:
            if path > after:
                yield path, node
            return
        if path and after > f"{path}/" and not after.startswith(f"{path}/"):
            return
        for name, child in self.entries(node).items():
            yield from self.files(child, f"{path}/{name}" if path else name, after)

    def graft(self, node: Node | None, changes: Mapping[str, Node | None]) -> Node | None:
        """Return a node with changed entries.

        Parameters
        ----------
        node
            The node to change.
        changes
            New nodes by path; None removes a path. No path may lie below another.

        Raises
        ------
        FileInTheWayError
            A parent folder of a path is a file.
        """
        if "" in changes:
            return changes[""]
        if node is not None and not node.is_folder:
            if all(change is None for change in changes.values()):
                return node
            raise FileInTheWayError
        below: dict[str, dict[str, Node | None]] = {}
        for path, change in changes.items():
            name, _, rest = path.partition("/")
            below.setdefault(name, {})[rest] = change
        entries = dict(self.entries(node))
        for name, rest in below.items():
            _put(entries, name, self.graft(entries.get(name), rest))
        return self._write(entries)

    def differences(self, left: Node | None, right: Node | None, path: str = "") -> Iterator[Change]:
        """Yield every path whose file differs. Equal folders are not read."""
        if left == right:
            return
        left_file, right_file = _as_file(left), _as_file(right)
        if left_file != right_file:
            yield path, left_file, right_file
        left_entries, right_entries = self.entries(_as_folder(left)), self.entries(_as_folder(right))
        for name in _differing(left_entries, right_entries):
            here, there = left_entries.get(name), right_entries.get(name)
            yield from self.differences(here, there, f"{path}/{name}" if path else name)

    def merge(
        self, base: Node | None, ours: Node | None, theirs: Node | None, path: str = ""
    ) -> tuple[Node | None, list[str]]:
        """Do a three-way merge, and return the result and the conflicting paths.

        A path is a conflict if both sides changed it differently, if one side changed and the other removed it, or if
        it is a file on one side and a folder on the other. The same change on both sides is not a conflict.

        Parameters
        ----------
        base, ours, theirs
            The merge base and the two sides.
        path
            Path of these nodes in the lake.
        """
        conflicts: list[str] = []
        return self._merge(base, ours, theirs, path, conflicts), conflicts

    def _merge(
        self, base: Node | None, ours: Node | None, theirs: Node | None, path: str, conflicts: list[str]
    ) -> Node | None:
        if theirs in (base, ours):
            return ours
        if ours == base:
            return theirs
        # Treat a path as a file and a folder, one of which is absent, and merge both separately.
        file = self._merge_files(_as_file(base), _as_file(ours), _as_file(theirs), path, conflicts)
        folder = self._merge_folders(_as_folder(base), _as_folder(ours), _as_folder(theirs), path, conflicts)
        if file and folder:
            conflicts.append(path)
        return file or folder

    @staticmethod
    def _merge_files(
        base: Node | None, ours: Node | None, theirs: Node | None, path: str, conflicts: list[str]
    ) -> Node | None:
        if theirs in (base, ours):
            return ours
        if ours != base:
            conflicts.append(path)
        return theirs

    def _merge_folders(
        self, base: Node | None, ours: Node | None, theirs: Node | None, path: str, conflicts: list[str]
    ) -> Node | None:
        if theirs in (base, ours):
            return ours
        if ours == base:
            return theirs
        was, mine, other = self.entries(base), self.entries(ours), self.entries(theirs)
        merged = dict(mine)
        for name in _differing(was, other):
            below = f"{path}/{name}" if path else name
            _put(merged, name, self._merge(was.get(name), mine.get(name), other.get(name), below, conflicts))
        return self._write(merged)


def _differing(left: Entries, right: Entries) -> set[str]:
    """Return the names whose nodes differ in two folders. Fast for folders with thousands of entries."""
    return {name for name, _ in left.items() ^ right.items()}


def _put(entries: dict[str, Node], name: str, node: Node | None) -> None:
    if node is None:
        entries.pop(name, None)
    else:
        entries[name] = node


def _as_file(node: Node | None) -> Node | None:
    return node if node is not None and not node.is_folder else None


def _as_folder(node: Node | None) -> Node | None:
    return node if node is not None and node.is_folder else None
