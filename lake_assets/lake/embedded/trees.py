"""Trees of a commit: find, list, graft, compare, merge; never more than what differs is read.

A node is a file (the blob of its LFS pointer) or a folder (a Git tree); None stands for nothing there. Files
are compared and merged as wholes, by blob id: pointers are never merged line by line.
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


class Node(NamedTuple):
    """A file or folder of a tree: its Git id (20 bytes), and which of the two it is."""

    id: bytes
    is_folder: bool


Entries = Mapping[str, Node]
Change = tuple[str, Node | None, Node | None]
"""Path, and the file that stands there left and right."""


class FileInTheWayError(Exception):
    """A folder was to be made where a file stands."""


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
        return Node(self._objects.write(ObjectType.BLOB, data), is_folder=False)

    def _entries(self, folder: Node | None) -> Entries:
        """Return what stands directly in a folder, in path order; not to be changed, since it is cached."""
        if folder is None:
            return {}
        found = _ENTRY.findall(self.read(folder))
        return {
            name.decode("utf-8", "surrogateescape"): Node(node_id, mode == _FOLDER) for mode, name, node_id in found
        }

    def _write(self, entries: Entries) -> Node | None:
        if not entries:
            return None
        raw = [(name.encode("utf-8", "surrogateescape"), node) for name, node in entries.items()]
        # Git's order: a folder sorts as if its name ended in a slash, which is the order of whole paths.
        raw.sort(key=lambda item: item[0] + b"/" if item[1].is_folder else item[0])
        data = b"".join(b"%s %s\0%s" % (_FOLDER if node.is_folder else _FILE, name, node.id) for name, node in raw)
        return Node(self._objects.write(ObjectType.TREE, data), is_folder=True)

    def find(self, node: Node | None, path: str) -> Node | None:
        """Return what stands at a path below a node; the empty path is the node itself."""
        for name in path.split("/") if path else ():
            if node is None or not node.is_folder:
                return None
            found = self._objects.entry(node.id, name)
            node = Node(*found) if found else None
        return node

    def files(self, node: Node | None, path: str = "", after: str = "") -> Iterator[tuple[str, Node]]:
        """Yield every file at or below a node with its path, in path order: those that sort behind ``after``."""
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
        """Return ``node`` with other nodes at the given paths (None: removed); no path may lie below another.

        Raises
        ------
        FileInTheWayError
            A path leads through a file.
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
        """Yield every path whose file differs; equal folders are not opened."""
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
        """Merge three ways and return the result with the conflicting paths.

        A path conflicts where both sides changed it differently, one changed and the other removed it, or one
        made it a file and the other a folder. The same change on both sides is no conflict.
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
        # A path is a file and a folder at once, either of them absent: each merges for itself.
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
    """Return the names that do not stand for the same in two folders, which may hold years of days."""
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
