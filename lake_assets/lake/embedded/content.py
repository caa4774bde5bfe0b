"""The files of a commit: data as Git-LFS objects, and what other programs committed to Git itself.

A plain file is shown with its size and Git's id, and can be read. A symbolic link or a submodule is shown, and is not
followed, since it leads out of the lake.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from pygit2 import Commit as GitCommit

from lake_assets.lake.contract import LakeObject
from lake_assets.lake.embedded.commits import ATTRIBUTES, Commits
from lake_assets.lake.embedded.objects import Objects, Pointer
from lake_assets.lake.embedded.trees import Node, Trees


@dataclass(frozen=True, slots=True)
class File:
    """A file of a commit.

    Parameters
    ----------
    path
        Its path in the lake.
    node
        Its entry in the tree.
    pointer
        Pointer to its data. None if it is not ours.
    """

    path: str
    node: Node
    pointer: Pointer | None

    @property
    def foreign(self) -> str | None:
        """What it is, if another program committed it; else None."""
        if self.pointer is not None:
            return None
        what = "plain Git file" if self.node.is_file else self.node.kind
        return f"a {what}, which another program committed: it has no Git-LFS object"


class Content:
    """The files of a lake's commits."""

    def __init__(self, commits: Commits, trees: Trees, objects: Objects) -> None:
        self._commits = commits
        self._trees = trees
        self._objects = objects
        self._pointer = lru_cache(maxsize=1 << 16)(self._read_pointer)

    def files(self, commit: GitCommit, folder: str, after: str = "") -> Iterator[File]:
        """Yield the files of a commit at or below a path, in path order.

        Parameters
        ----------
        commit
            The commit.
        folder
            The path.
        after
            Yield only files that sort after this path.
        """
        for path, node in self._trees.files(self._commits.node(commit, folder), folder, after):
            if path != ATTRIBUTES:
                yield self.at(path, node)

    def at(self, path: str, node: Node) -> File:
        """Return the file that a tree's entry is."""
        return File(path, node, self._pointer(node) if node.is_file else None)

    def file(self, commit: GitCommit, path: str) -> File | None:
        """Return the file of a commit at a path, or None."""
        return next((file for file in self.files(commit, path) if file.path == path), None)

    def _read_pointer(self, node: Node) -> Pointer | None:
        return Pointer.parse(self._trees.read(node))

    def bytes_in_git(self, file: File) -> bytes:
        """Return the bytes of a plain file."""
        return self._trees.read(file.node)

    def described(self, file: File) -> LakeObject:
        """Return a file as an object of the contract."""
        if file.pointer is not None:
            address = f"file://{self._objects.path(file.pointer)}"
            return LakeObject(file.path, file.pointer.size, f"sha256:{file.pointer.sha256}", address)
        name = file.node.id.hex()
        size = len(self._trees.read(file.node)) if file.node.mode != b"160000" else 0
        return LakeObject(file.path, size, f"git:{name}", f"git:{name}")
