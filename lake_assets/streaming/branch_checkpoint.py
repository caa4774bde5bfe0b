"""A streaming checkpoint on a private branch of the lake, for a cluster whose machines share no folder.

Spark reads and writes it through the lake's own gateway. The branch begins at the commit that holds the checkpoint, so
nothing is copied before. Afterwards the new files are linked to the write. Spark's workers may still be at work on the
branch then, such as on old state: nothing of that reaches the commit.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lake_assets.streaming.checkpoint import StoredCheckpoint, held_by
from lake_assets.streaming.checkpoint_files import CheckpointFiles

if TYPE_CHECKING:
    from lake_assets.lake.contract import Aside, Lake, Write

_BATCHES = "batches"
_NOTES = "notes"
_NEW = "checkpoint"


@dataclass(frozen=True, slots=True)
class BranchCheckpoint:
    """A checkpoint on a private branch.

    Parameters
    ----------
    files
        The checkpoint.
    """

    files: CheckpointFiles
    _aside: Aside
    _path: str

    @property
    def scratch(self) -> None:
        """The parent for temporary folders is the system's."""
        return

    @property
    def notes(self) -> CheckpointFiles:
        """A folder of the branch, since Spark has one way to write to all of a query's folders."""
        return CheckpointFiles(f"{self._aside.uri}/{_NOTES}", self._aside.filesystem, f"{self._aside.root}/{_NOTES}")

    def batches(self, folder: Path) -> str:
        """Return the URI of a folder of the branch for the rows of micro-batches.

        Parameters
        ----------
        folder
            A local folder, which workers do not see.
        """
        del folder
        return f"{self._aside.uri}/{_BATCHES}"

    def fetch_batches(self, folder: Path) -> None:
        """Copy the rows of micro-batches to a local folder.

        Parameters
        ----------
        folder
            The folder.
        """
        from pyarrow.fs import FileSelector, LocalFileSystem, copy_files

        at = f"{self._aside.root}/{_BATCHES}"
        for info in self._aside.filesystem.get_file_info(FileSelector(at, allow_not_found=True, recursive=True)):
            if info.is_file and info.extension == "parquet":
                target = folder / info.path[len(at) + 1 :]
                target.parent.mkdir(parents=True, exist_ok=True)
                copy_files(
                    info.path,
                    str(target),
                    source_filesystem=self._aside.filesystem,
                    destination_filesystem=LocalFileSystem(),
                )

    def unchanged(self, lake: Lake, ref: str, path: str) -> None:
        """Do nothing: the branch is removed in any case.

        Parameters
        ----------
        lake, ref, path
            Where the checkpoint is.
        """

    def store(self, lake: Lake, write: Write, path: str) -> StoredCheckpoint:
        """Add new files to a write, and remove files that do not exist any more.

        Parameters
        ----------
        lake, write
            The lake, and the write that is open.
        path
            The checkpoint's folder in the lake, in one of the folders beside the write's prefix.
        """
        before = held_by(lake, write.base, path)
        found = {name: item for name, item in held_by(lake, self._aside.ref, self._path).items() if item.size}
        new = {name for name, item in found.items() if name not in before or before[name].checksum != item.checksum}
        self._aside.give(write, {found[name].path: f"{path}/{name}" for name in sorted(new)})
        write.removed |= {f"{path}/{name}" for name in before.keys() - found.keys()}
        sizes = {name: item.size for name, item in found.items()}
        return StoredCheckpoint(sizes, len(new), sum(sizes[name] for name in new))


@contextmanager
def on_branch(lake: Lake, ref: str, path: str | None) -> Generator[BranchCheckpoint]:
    """Yield a private copy of a checkpoint that workers can read and write. It is removed afterwards.

    Parameters
    ----------
    lake, ref, path
        Where the checkpoint is. Without a path it is a new one.

    Raises
    ------
    NotSupported
        Engines cannot write to the lake directly.
    """
    with lake.aside(ref) as aside:
        place = path or _NEW
        files = CheckpointFiles(f"{aside.uri}/{place}", aside.filesystem, f"{aside.root}/{place}")
        yield BranchCheckpoint(files, aside, place)
