"""The checkpoint of a running query: a local folder, or a private branch of the lake."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lake_assets.streaming.branch_checkpoint import on_branch

if TYPE_CHECKING:
    from lake_assets.lake.contract import Lake, Write
    from lake_assets.streaming.checkpoint import Checkout, StoredCheckpoint
    from lake_assets.streaming.checkpoint_files import CheckpointFiles


class WorkingCopy(Protocol):
    """The checkpoint of a query that runs."""

    @property
    def files(self) -> CheckpointFiles:
        """The checkpoint."""
        ...

    @property
    def scratch(self) -> Path | None:
        """Parent for temporary folders of this run; None for the system's."""
        ...

    @property
    def notes(self) -> CheckpointFiles | None:
        """A folder for what the source leaves for Spark; None for a temporary one of this machine."""
        ...

    def batches(self, folder: Path) -> str:
        """Return the URI of a folder for the rows of micro-batches, which all workers see.

        Parameters
        ----------
        folder
            A local folder, which can be taken if workers see it.
        """
        ...

    def fetch_batches(self, folder: Path) -> None:
        """Copy the rows of micro-batches to the local folder, if they are not there.

        Parameters
        ----------
        folder
            The folder.
        """
        ...

    def store(self, lake: Lake, write: Write, path: str) -> StoredCheckpoint:
        """Add new files to a write, and remove files that do not exist any more.

        Parameters
        ----------
        lake, write
            The lake, and the write that is open.
        path
            The checkpoint's folder in the lake, in one of the folders beside the write's prefix.
        """
        ...

    def unchanged(self, lake: Lake, ref: str, path: str) -> None:
        """Record that it still matches the checkpoint that it was restored from.

        Parameters
        ----------
        lake, ref, path
            Where the checkpoint is.
        """
        ...


@contextmanager
def working_copy(checkout: Checkout | None, lake: Lake, ref: str, path: str | None) -> Generator[WorkingCopy]:
    """Yield the working copy of a checkpoint.

    Parameters
    ----------
    checkout
        The local folder. Without one, the copy is on a private branch of the lake.
    lake, ref, path
        Where the checkpoint is. Without a path it is a new one.

    Raises
    ------
    NotSupported
        There is no local folder, and the lake is on the disk of this machine.
    """
    if checkout is None:
        with on_branch(lake, ref, path) as place:
            yield place
        return
    if path is None:
        checkout.clear()
    else:
        checkout.restore(lake, ref, path)
    yield checkout
