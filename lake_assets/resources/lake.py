"""The lake as a Dagster resource: opened when first used, closed with the run."""

from __future__ import annotations

import tempfile
from abc import abstractmethod
from collections.abc import Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dagster import ConfigurableResource, InitResourceContext
from pydantic import Field, PrivateAttr

from lake_assets.lake.contract import MAIN

if TYPE_CHECKING:
    from lake_assets.lake.contract import Lake


class SnapshotResource(ConfigurableResource["SnapshotResource"]):
    """What of the lake a run reads: set by its run configuration alone.

    Parameters
    ----------
    source_ref
        Branch, tag or commit that the run's branch starts at.
    """

    source_ref: str = Field(default=MAIN, description="Branch, tag or commit that the run reads")


class LakeResource(ConfigurableResource["LakeResource"]):
    """A versioned lake, whatever backend keeps it.

    Parameters
    ----------
    dagster_url
        Address of Dagster's web page: commits link to their runs there. No links if empty.
    """

    dagster_url: str = Field(default="", description="Address of Dagster's web page, for links from commits to runs")
    _lake: Lake | None = PrivateAttr(default=None)

    @abstractmethod
    def open(self, *, any_format: bool = False) -> Lake:
        """Open the lake for the caller, who closes it.

        Parameters
        ----------
        any_format
            Open a lake of another format than this program's, too: to migrate it.

        Raises
        ------
        LakeUnavailable
            The store does not answer or cannot be opened.
        """

    @abstractmethod
    def scratch(self) -> AbstractContextManager[Path]:
        """Return an empty folder that is gone afterwards; files move from it into an embedded lake without a copy.

        Raises
        ------
        LakeUnavailable
            It cannot be made: the disk is full or read-only.
        """

    def spark_conf(self) -> dict[str, str]:
        """Return the settings with which Spark reaches the lake's data, credentials among them; none on a local disk.

        Pass them on as :func:`lake_assets.spark.session.without_credentials` tells.
        """
        return {}

    @property
    def lake(self) -> Lake:
        """The lake, opened at first use.

        Raises
        ------
        LakeUnavailable
            The store does not answer or cannot be opened.
        """
        if self._lake is None:
            self._lake = self.open()
        return self._lake

    def teardown_after_execution(self, context: InitResourceContext) -> None:
        """Close the lake, if it was opened here."""
        if self._lake is not None:
            self._lake.close()
            self._lake = None


class EmbeddedLake(LakeResource):
    """The embedded lake: a Git repository with LFS objects in a local folder.

    Parameters
    ----------
    home
        Folder that holds ``lake.git``.
    """

    home: str = Field(description="Folder that holds the lake's Git repository")

    def open(self, *, any_format: bool = False) -> Lake:
        """Open the lake in the folder; see :meth:`LakeResource.open`."""
        from lake_assets.lake import embedded

        return embedded.EmbeddedLake(Path(self.home), any_format=any_format)

    @contextmanager
    def scratch(self) -> Generator[Path]:
        """Yield a folder beside the lake; a killed process's is swept when the lake is opened next."""
        from lake_assets.lake.embedded.failures import disk_full_translated, translated
        from lake_assets.lake.embedded.scratch import Scratch

        with ExitStack() as owned:
            with translated(self.home):
                folder = owned.enter_context(Scratch(Path(self.home) / "staging").folder())
            with disk_full_translated(self.home, "", ""):
                yield folder


class LakeFS(LakeResource):
    """A repository on a lakeFS server.

    Parameters
    ----------
    endpoint
        The server, such as ``http://127.0.0.1:8000``.
    access_key_id, secret_access_key
        Credentials; give them as ``EnvVar``, so that no page shows them.
    repository
        Its id; made where it is missing.
    storage_namespace
        Where a new repository keeps its objects, such as ``s3://bucket/lake``.
    deadline
        Seconds after which a call that meets nothing but failures gives up.
    """

    endpoint: str = Field(description="Address of the lakeFS server")
    access_key_id: str = Field(description="lakeFS access key", repr=False)
    secret_access_key: str = Field(description="lakeFS secret key", repr=False)
    repository: str = Field(default="lake", description="Repository id")
    storage_namespace: str = Field(default="", description="Where a new repository keeps its objects")
    deadline: float = Field(default=60.0, description="Seconds until a call gives up")

    def spark_conf(self) -> dict[str, str]:
        """Return the settings of S3A for the server's gateway, with this resource's credentials."""
        from lake_assets.spark.s3a import s3a_conf

        return s3a_conf(self.repository, self.endpoint, self.access_key_id, self.secret_access_key)

    def open(self, *, any_format: bool = False) -> Lake:
        """Connect to the server; see :meth:`LakeResource.open`."""
        from lake_assets.lake.lakefs import LakeFSLake

        return LakeFSLake(
            self.endpoint,
            self.access_key_id,
            self.secret_access_key,
            self.repository,
            self.storage_namespace,
            self.deadline,
            any_format=any_format,
        )

    @contextmanager
    def scratch(self) -> Generator[Path]:
        """Yield a temporary folder."""
        with tempfile.TemporaryDirectory(prefix="lake-assets-") as folder:
            yield Path(folder)
