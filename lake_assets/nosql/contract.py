"""The NoSQL store contract: tables of items by key. Each table reflects one published commit of the lake."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import pandas
    import pyarrow
    from pyspark.sql import DataFrame as SparkDataFrame

    from lake_assets.lake.contract import Cache

SaveMode = Literal["append", "overwrite", "errorifexists", "ignore"]
"""Spark's DataFrameWriter modes; ``append`` upserts by key."""

Key = str | int | tuple[str | int, ...]
"""A single value, or a partition key followed by sort keys."""


@dataclass(frozen=True, slots=True)
class WriteResult:
    """The result of a write.

    Parameters
    ----------
    put
        Number of items written.
    deleted
        Number of items deleted.
    kept
        Number of items not written, because the stored item is newer.
    row_count
        Number of items in the table after the write.
    """

    put: int
    deleted: int
    kept: int
    row_count: int


class NoSQLError(Exception):
    """An operation of the store failed. The message names the store, the table and the remedy."""


class TableNotFound(NoSQLError):
    """There is no table of that name."""


class TableExists(NoSQLError):
    """The mode is ``errorifexists``, and the table exists."""


class SchemaMismatch(NoSQLError):
    """The frame's columns or key do not match the table. Nothing was written."""


class StaleWrite(NoSQLError):
    """The table no longer reflects the commit that the write was computed from. Nothing was written."""


class NoSQLStore(Protocol):
    """Tables of items. A write is atomic, even if its process is killed."""

    def tables(self) -> tuple[str, ...]:
        """Return the names of all tables, sorted."""
        ...

    def schema(self, table: str) -> pyarrow.Schema:
        """Return the columns of a table. The key columns come first and are not nullable."""
        ...

    def key(self, table: str) -> tuple[str, ...]:
        """Return the names of the key columns: the partition key, then the sort keys."""
        ...

    def source_commit(self, table: str) -> str | None:
        """Return the lake commit that a table reflects. None if there is no table, or it reflects no commit."""
        ...

    def row_count(self, table: str) -> int:
        """Return the number of items, without a scan if the store keeps this number."""
        ...

    def get(self, table: str, key: Key) -> dict[str, Any] | None:
        """Return one item, or None.

        Parameters
        ----------
        table
            Name of the table.
        key
            The item's key.

        Returns
        -------
        dict
            Column name to Python value.
        """
        ...

    def scan(
        self, table: str, start: Key | None = None, end: Key | None = None, batch_size: int = 65_536
    ) -> Iterator[pyarrow.RecordBatch]:
        """Yield items in key order, from one consistent snapshot of the table.

        Parameters
        ----------
        table
            Name of the table.
        start
            First key. None for the beginning of the table.
        end
            The key before which to stop. None for the end of the table.
        batch_size
            Maximal number of items in a batch.
        """
        ...

    def write(
        self,
        table: str,
        items: SparkDataFrame | pandas.DataFrame | pyarrow.Table,
        *,
        key: Sequence[str],
        mode: SaveMode = "append",
        newest_by: Sequence[str] = (),
        delete: SparkDataFrame | pandas.DataFrame | pyarrow.Table | None = None,
        allow_overwrite_schema: bool = False,
        source_commit: str | None = None,
        expected_commit: str | None = None,
        check_expected: bool = False,
    ) -> WriteResult:
        """Write items in one transaction.

        Parameters
        ----------
        table
            Name of the table. It is created if it does not exist.
        items
            The rows. If two have the same key, the greater one by ``newest_by`` is written. Without ``newest_by``
            such a frame is refused with :class:`SchemaMismatch`.
        key
            Names of the key columns. These contain strings or integers, and no nulls.
        mode
            What to do with existing items; see :data:`SaveMode`.
        newest_by
            With ``append``, an item replaces the stored one only if it is greater by these columns. If it is equal,
            the encoded rows are compared. So the result does not depend on the order of writes.
        delete
            A frame of the key columns: keys of items that are deleted first, in the same transaction.
        allow_overwrite_schema
            Allow new columns, which are null in stored rows. Otherwise such a write is refused. A missing column, or
            a column of another type, is always refused, except with ``overwrite``.
        source_commit
            The lake commit that the table reflects after this write. It is stored in the same transaction.
        expected_commit, check_expected
            With ``check_expected``, :class:`StaleWrite` is raised unless the table reflects ``expected_commit`` when
            the transaction begins. None stands for no table or no commit.
        """
        ...

    def delete(self, table: str, keys: Sequence[Key]) -> int:
        """Delete items by key, and return the number of deleted items."""
        ...

    def drop(self, table: str) -> None:
        """Remove a table with its schema and its commit. Raise :class:`TableNotFound` if it does not exist."""
        ...

    def caches(self) -> tuple[Cache, ...]:
        """Return the store's temporary folders, by kind. Empty if there are none."""
        ...

    def clean(self) -> None:
        """Remove the folders of :meth:`caches` that no running process uses."""
        ...

    @property
    def folders(self) -> tuple[Path, ...]:
        """The local folders that this store is in. Empty if it is on a server."""
        ...

    def backup(self, folder: Path) -> Callable[[], None]:
        """Copy all tables, as they are at one moment, into a folder beside an earlier copy.

        Writers may go on meanwhile. Nothing is copied if nothing was written since.

        Parameters
        ----------
        folder
            The folder. It is created if it is missing.

        Returns
        -------
        Callable
            Puts the new copy in the place of the earlier one, at once.
        """
        ...

    def close(self) -> None:
        """Release the store."""
        ...
