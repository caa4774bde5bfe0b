"""The lake as a Dagster resource: opened when first used, closed with the run."""

from __future__ import annotations

import tempfile
from abc import abstractmethod
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dagster import ConfigurableResource, InitResourceContext
from pydantic import Field, PrivateAttr

if TYPE_CHECKING:
    from lake_assets.lake.contract import Lake


class LakeResource(ConfigurableResource["LakeResource"]):
    """A versioned lake, whatever backend keeps it."""

    _lake: Lake | None = PrivateAttr(default=None)

    @abstractmethod
    def _open(self) -> Lake:
        """Connect to the backend."""

    @abstractmethod
    def _scratch_parent(self) -> Path | None:
        """Return the folder in which scratch folders are made; None for the system's."""

    @property
    def lake(self) -> Lake:
        """The lake, opened at first use.

        Raises
        ------
        LakeUnavailable
            The store does not answer or cannot be opened.
        """
        if self._lake is None:
            self._lake = self._open()
        return self._lake

    @contextmanager
    def scratch(self) -> Generator[Path]:
        """Yield an empty folder that is gone afterwards; files move from it into an embedded lake without a copy."""
        parent = self._scratch_parent()
        if parent is not None:
            parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix="scratch-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)

    def teardown_after_execution(self, context: InitResourceContext) -> None:
        """Close the lake, if it was opened here."""
        if self._lake is not None:
            self._lake.close()
            self._lake = None


class EmbeddedLakeResource(LakeResource):
    """The embedded lake: a Git repository with LFS objects in a local folder.

    Parameters
    ----------
    home
        Folder that holds ``lake.git``.
    """

    home: str = Field(description="Folder that holds the lake's Git repository")

    def _open(self) -> Lake:
        from lake_assets.lake.embedded import EmbeddedLake

        return EmbeddedLake(Path(self.home))

    def _scratch_parent(self) -> Path:
        return Path(self.home) / "scratch"
