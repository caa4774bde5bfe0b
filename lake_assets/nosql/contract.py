"""The NoSQL store contract: tables of items by key. Each table reflects one published commit of the lake."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lake_assets.nosql.errors import NoSQLError, SchemaMismatch, StaleWrite, TableExists, TableNotFound
from lake_assets.nosql.options import Options, SaveMode

if TYPE_CHECKING:
    import pandas
    import pyarrow
    from pyspark.sql import DataFrame as SparkDataFrame

    from lake_assets.lake.contract import Cache

__all__ = [
    "LOGGED",
    "UNFINISHED",
    "Key",
    "NoSQLError",
    "NoSQLStore",
    "Operation",
    "Options",
    "SaveMode",
    "SchemaMismatch",
    "StaleWrite",
    "TableExists",
    "TableNotFound",
    "WriteResult",
]

UNFINISHED = "unfinished-"
"""Prefix of the commit that a table reflects while a write to it was begun, and not ended."""

LOGGED = 1000
"""How many operations the log of a table keeps; on DynamoDB, up to a tenth more."""

Key = str | int | tuple[str | int, ...]
"""A single value, or a partition key followed by sort keys."""


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation in the log of a table.

    Parameters
    ----------
    at
        When it ended, in UTC.
    kind
        ``write``, ``delete`` or ``drop``.
    mode
        The save mode of a write.
    put, deleted, kept, row_count
        As of :class:`WriteResult`.
    source_commit
        The commit that the table reflects since.
    run
        Id of the Dagster run that wrote. Empty if none did, or in logs of earlier versions.
    """

    at: str
    kind: str
    mode: str
    put: int
    deleted: int
    kept: int
    row_count: int
    source_commit: str | None
    run: str = ""


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
        Number of items not written, because the stored item is newer, or the condition is not true for it.
    row_count
        Number of items in the table after the write.
    """

    put: int
    deleted: int
    kept: int
    row_count: int


class NoSQLStore(Protocol):
    """Tables of items. A write is atomic, even if its process is killed.

    Where the store has no transactions over many items (DynamoDB), a killed write may leave some of its items. The
    table then reflects no known commit (``unfinished-…``), and the next write of a commit brings it there.
    """

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
        """Return the number of items, without a scan if the store keeps this number.

        Items that expired since the last write may be counted.
        """
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
        self,
        table: str,
        start: Key | None = None,
        end: Key | None = None,
        batch_size: int = 65_536,
        *,
        prefix: Key | None = None,
        columns: Sequence[str] | None = None,
        where: str | None = None,
        segment: tuple[int, int] | None = None,
    ) -> Iterator[pyarrow.RecordBatch]:
        """Yield items in key order, as Arrow batches. A filter by the first key columns reads only their items.

        On LMDB they are one consistent snapshot of the table. DynamoDB keeps key order only within one partition key.
        Elsewhere the store reads in parallel and sorts; a ``segment`` is not sorted.

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
        prefix
            Only keys that begin so: the first components of the key. The last of them, if it is a string, may be the
            beginning of the key's component; "" stands for all.
        columns
            Only these columns. None for all.
        where
            Only items for which this SQL expression over the columns is true.
        segment
            Only one part of the table: its number, from 0, and the number of parts. All parts together are the table.
            If someone writes meanwhile, an item that is there all the time is in one part, once. On LMDB each part is a
            snapshot of its own; on DynamoDB, each item is as it was when it was read.
        """
        ...

    def items(self, table: str) -> Iterator[list[tuple[bytes, bytes]]]:
        """Yield all items in key order, in blocks: the encoded key, and the encoded row.

        The row of an item that another client of the store wrote, and that cannot be read, is empty.

        Parameters
        ----------
        table
            Name of the table.
        """
        ...

    def get_many(self, table: str, keys: Sequence[Key]) -> pyarrow.Table:
        """Return the items of several keys, in key order. Keys that are not stored are left out.

        Parameters
        ----------
        table
            Name of the table.
        keys
            The keys.
        """
        ...

    def history(self, table: str) -> tuple[Operation, ...]:
        """Return the last operations of a table (see :data:`LOGGED`), the newest first. A dropped table keeps its log.

        Parameters
        ----------
        table
            Name of the table.
        """
        ...

    def write(
        self,
        table: str,
        items: SparkDataFrame | pandas.DataFrame | pyarrow.Table,
        *,
        key: Sequence[str] = (),
        mode: SaveMode = "append",
        newest_by: Sequence[str] = (),
        delete: SparkDataFrame | pandas.DataFrame | pyarrow.Table | None = None,
        allow_overwrite_schema: bool = False,
        source_commit: str | None = None,
        expected_commit: str | None = None,
        check_expected: bool = False,
        options: Options | None = None,
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
            Names of the key columns. These contain strings or integers, and no nulls. If empty, they are those of the
            table, or of a pandas frame's named index. A new table with neither gets running numbers, in a column
            ``id``.
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
        options
            What else becomes of stored items, and how a new table is made. ``condition``, ``counter``, ``set`` and
            ``ttl`` are refused with a ``source_commit``.
        """
        ...

    def delete(self, table: str, keys: Sequence[Key] = (), *, where: str | None = None) -> int:
        """Delete items by key or by filter, and return the number of deleted items.

        Parameters
        ----------
        table
            Name of the table.
        keys
            The keys.
        where
            An SQL expression over the columns: items for which it is true are deleted.
        """
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
