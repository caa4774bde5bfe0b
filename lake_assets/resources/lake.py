"""The lake as a Dagster resource. It is opened at first use and closed with the run."""

from __future__ import annotations

import tempfile
from abc import abstractmethod
from collections.abc import Generator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dagster import ConfigurableResource, InitResourceContext
from pydantic import Field, PrivateAttr

from lake_assets.lake.contract import MAIN
from lake_assets.resources.working_branch import OnBranch

if TYPE_CHECKING:
    from lake_assets.lake.contract import Copied, Lake


class SnapshotResource(ConfigurableResource["SnapshotResource"]):
    """The state of the lake that a run reads. It is set in the run configuration.

    Parameters
    ----------
    source_ref
        Branch, tag or commit that the run's branch starts at. By default, that of ``branch``.
    branch
        Working branch that the run begins at and publishes to. If it is empty, the setting of the lake counts.
    """

    source_ref: str = Field(default=MAIN, description="Branch, tag or commit that the run reads")
    branch: str = Field(default="", description="Working branch that the run begins at and publishes to")


class LakeResource(OnBranch):
    """A versioned lake of any backend.

    Parameters
    ----------
    dagster_url
        Address of Dagster's web page. Commits link to their runs there. No links if empty.
    branch
        The branch that runs begin at and publish to: ``main``, or a working branch. Sensors follow it.
    """

    dagster_url: str = Field(default="", description="Address of Dagster's web page, for links from commits to runs")
    _lake: Lake | None = PrivateAttr(default=None)

    @abstractmethod
    def open(self, *, any_format: bool = False, create: bool = True) -> Lake:
        """Open the lake. The caller closes it.

        Parameters
        ----------
        any_format
            Also open a lake of another format, in order to migrate it.
        create
            Make the lake if it is missing.

        Raises
        ------
        LakeNotFound
            The lake is missing, and ``create`` is False.
        LakeUnavailable
            The store does not answer or cannot be opened.
        """

    @abstractmethod
    def restore(self, source: Path, *, link: bool = True, replace: bool = False) -> Copied:
        """Restore the lake from a backup. A lake on a server is only compared with it.

        Parameters
        ----------
        source
            Folder of the backup.
        link
            Add data files by hard link where the file system allows it.
        replace
            Replace a lake that is there. It is kept beside.

        Raises
        ------
        BackupError
            The folder is the lake's own or holds no backup, or the server lacks what the backup says.
        LakeError
            There is a lake already, or the backup cannot be read.
        """

    @abstractmethod
    def scratch(self) -> AbstractContextManager[Path]:
        """Return an empty folder that is removed afterwards. An embedded lake takes files from it without a copy.

        Raises
        ------
        LakeUnavailable
            The folder cannot be created, because the disk is full or read-only.
        """

    def spark_conf(self) -> dict[str, str]:
        """Return the Spark settings for access to the lake's data, including credentials. Empty on a local disk.

        Pass them on through :func:`lake_assets.spark.session.without_credentials`.
        """
        return {}

    @property
    def lake(self) -> Lake:
        """The lake, which is opened at first use.

        Raises
        ------
        LakeUnavailable
            The store does not answer or cannot be opened.
        """
        if self._lake is None:
            self._lake = self.open()
        return self._lake

    def teardown_after_execution(self, context: InitResourceContext) -> None:
        """Close the lake if this resource has opened it."""
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

    def open(self, *, any_format: bool = False, create: bool = True) -> Lake:
        """Open the lake in the folder; see :meth:`LakeResource.open`."""
        from lake_assets.lake import embedded

        return embedded.GitLake(Path(self.home), any_format=any_format, create=create)

    def restore(self, source: Path, *, link: bool = True, replace: bool = False) -> Copied:
        """Restore the folder from a backup; see :meth:`LakeResource.restore`."""
        from lake_assets.backup.folder import refuse_own
        from lake_assets.lake.embedded.backup import restore

        refuse_own(source, [Path(self.home)])
        return restore(source, Path(self.home), link=link, replace=replace)

    @contextmanager
    def scratch(self) -> Generator[Path]:
        """Yield a folder beside the lake. That of a killed process is removed when the lake is opened again."""
        from lake_assets.lake.embedded.failures import disk_full_translated, translated
        from lake_assets.lake.embedded.scratch import Scratch
        from lake_assets.lake.permissions import sharing_near

        with ExitStack() as owned:
            with translated(self.home):
                scratch = Scratch(Path(self.home) / "staging", sharing_near(Path(self.home)))
                folder = owned.enter_context(scratch.folder())
            with disk_full_translated(self.home, "", ""):
                yield folder


class LakeFS(LakeResource):
    """A repository on a lakeFS server.

    Parameters
    ----------
    endpoint
        The server, such as ``http://127.0.0.1:8000``.
    access_key_id, secret_access_key
        Credentials. Give them as ``EnvVar``, so that Dagster's UI does not show them.
    repository
        Repository id. The repository is created if it is missing.
    storage_namespace
        Where a new repository keeps its objects, such as ``s3://bucket/lake``.
    deadline
        Seconds that a call may take, with all its tries.
    commit_metadata
        Metadata that every commit carries besides its own, such as what a hook of the repository requires.
    """

    endpoint: str = Field(description="Address of the lakeFS server", repr=False)
    access_key_id: str = Field(description="lakeFS access key", repr=False)
    secret_access_key: str = Field(description="lakeFS secret key", repr=False)
    repository: str = Field(default="lake", description="Repository id")
    storage_namespace: str = Field(default="", description="Where a new repository keeps its objects")
    deadline: float = Field(default=60.0, description="Seconds that a call may take, with all its tries")
    commit_metadata: dict[str, str] = Field(
        default={}, description="Metadata that every commit carries besides its own"
    )

    def spark_conf(self) -> dict[str, str]:
        """Return the S3A settings for the server's gateway, with this resource's credentials."""
        from lake_assets.spark.s3a import s3a_conf

        return s3a_conf(self.repository, self.endpoint, self.access_key_id, self.secret_access_key)

    def open(self, *, any_format: bool = False, create: bool = True) -> Lake:
        """Connect to the server; see :meth:`LakeResource.open`."""
        from lake_assets.lake.lakefs import LakeFSLake

        return LakeFSLake(
            self.endpoint,
            self.access_key_id,
            self.secret_access_key,
            self.repository,
            storage_namespace=self.storage_namespace,
            deadline=self.deadline,
            any_format=any_format,
            create=create,
            commit_metadata=self.commit_metadata,
        )

    def restore(self, source: Path, *, link: bool = True, replace: bool = False) -> Copied:
        """Check that the server holds what a backup says; see :meth:`LakeResource.restore`."""
        from lake_assets.backup.restoring import check_server

        del link, replace
        with closing(self.open()) as lake:
            return check_server(lake, source)

    @contextmanager
    def scratch(self) -> Generator[Path]:
        """Yield a temporary folder."""
        with tempfile.TemporaryDirectory(prefix="lake-assets-") as folder:
            yield Path(folder)
