"""The NoSQL store as a Dagster resource."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dagster import AssetKey, InitResourceContext
from pydantic import Field, PrivateAttr

from lake_assets.layout.asset_folders import name_of
from lake_assets.resources.working_branch import Sinks, apart

if TYPE_CHECKING:
    from lake_assets.nosql.contract import NoSQLStore


class NoSQLResource(Sinks):
    """A NoSQL store. It is opened at first use and closed with the run."""

    _store: NoSQLStore | None = PrivateAttr(default=None)

    @abstractmethod
    def open(self, *, read_only: bool = False) -> NoSQLStore:
        """Open the store. The caller closes it.

        Parameters
        ----------
        read_only
            Whether the caller only reads. A missing store is created all the same.
        """

    def exists(self) -> bool:
        """Tell whether the store is there. Opening it makes it."""
        return True

    @abstractmethod
    def restore(self, source: Path, *, replace: bool = False) -> Callable[[], tuple[str, ...]]:
        """Copy the tables of a backup beside the store, and return what puts them in its place and names them.

        Parameters
        ----------
        source
            Folder of the backup's tables.
        replace
            Replace tables that are there. They are kept beside.

        Raises
        ------
        NoSQLError
            There are other tables already, or the backup cannot be read.
        """

    @abstractmethod
    def describe(self) -> str:
        """Return a URI of the store, without credentials."""

    @property
    def store(self) -> NoSQLStore:
        """The store, which is opened at first use."""
        if self._store is None:
            self._store = self.open()
        return self._store

    def table_of(self, asset_key: AssetKey) -> str:
        """Return the name of an asset's table: of a working branch, it is another one than that of ``main``.

        Parameters
        ----------
        asset_key
            Key of the asset.
        """
        return apart(name_of(asset_key), self.target)

    def reflected_commit(self, asset_key: AssetKey) -> str | None:
        """Return the commit that an asset's table reflects. None if there is no table, or it reflects no commit.

        Parameters
        ----------
        asset_key
            A sink whose table is in this store.
        """
        return self.store.source_commit(self.table_of(asset_key))

    def teardown_after_execution(self, context: InitResourceContext) -> None:
        """Close the store if this resource has opened it."""
        if self._store is not None:
            self._store.close()
            self._store = None


class LMDBNoSQL(NoSQLResource):
    """An LMDB store in a local folder.

    Parameters
    ----------
    folder
        Folder of the LMDB environment.
    """

    folder: str = Field(description="Folder of the LMDB environment")

    def open(self, *, read_only: bool = False) -> NoSQLStore:
        """Open the store in the folder; see :meth:`NoSQLResource.open`."""
        from lake_assets.nosql.lmdb.store import LMDBStore

        folder = Path(self.folder)
        return LMDBStore(folder, read_only=read_only and (folder / "data.mdb").is_file())

    def exists(self) -> bool:
        """Tell whether the folder is there."""
        return Path(self.folder).exists()

    def restore(self, source: Path, *, replace: bool = False) -> Callable[[], tuple[str, ...]]:
        """Restore the folder from a backup; see :meth:`NoSQLResource.restore`."""
        from lake_assets.nosql.lmdb.restoring import restore_tables

        return restore_tables(source, Path(self.folder).absolute(), replace=replace)

    def describe(self) -> str:
        """Return the folder as a URI."""
        return f"lmdb://{self.folder}"


class DynamoDBNoSQL(NoSQLResource):
    """A store in DynamoDB. Region and credentials come from the AWS chain.

    Parameters
    ----------
    prefix
        Name of the catalog's table, and what the names of all tables begin with.
    endpoint_url
        Endpoint of the server; AWS if not set.
    writes_per_second
        The most items to write in a second; no limit if 0.
    tags
        Tags of new tables.
    """

    prefix: str = Field(default="lake_assets", description="What the names of all tables begin with")
    endpoint_url: str | None = Field(default=None, description="Endpoint of the server; AWS if not set")
    writes_per_second: float = Field(default=0.0, description="The most items to write in a second; no limit if 0")
    tags: dict[str, str] = Field(default_factory=dict, description="Tags of new tables")

    def open(self, *, read_only: bool = False) -> NoSQLStore:
        """Open the store; see :meth:`NoSQLResource.open`. This imports boto3, which takes seconds."""
        from lake_assets.nosql.dynamodb.store import DynamoDBStore

        return DynamoDBStore(
            self.prefix,
            endpoint_url=self.endpoint_url,
            writes_per_second=self.writes_per_second or None,
            tags=self.tags,
            read_only=read_only,
        )

    def restore(self, source: Path, *, replace: bool = False) -> Callable[[], tuple[str, ...]]:
        """Restore nothing: DynamoDB has backups of its own, and a sink's table is built anew from the lake."""
        del source, replace
        return tuple

    def describe(self) -> str:
        """Return the prefix as a URI."""
        return f"dynamodb://{self.prefix}"
