"""The NoSQL store contract: tables of items by key, each table reflecting one published lake commit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import pandas
    import pyarrow
    from pyspark.sql import DataFrame as SparkDataFrame

    from lake_assets.lake.contract import Cache

SaveMode = Literal["append", "overwrite", "errorifexists", "ignore"]
"""Spark's DataFrameWriter modes; ``append`` upserts by key."""

Key = str | int | tuple[str | int, ...]
"""One value, or a partition key followed by sort keys."""


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What one write did: items put, items deleted, items left since a newer one was there, rows now."""

    put: int
    deleted: int
    kept: int
    row_count: int


class NoSQLError(Exception):
    """A store operation that failed; the message names store and table, and what to do."""


class TableNotFound(NoSQLError):
    """No table of that name."""


class TableExists(NoSQLError):
    """``errorifexists``, and the table is there."""


class SchemaMismatch(NoSQLError):
    """The frame's columns or key are not the table's; nothing was written."""


class StaleWrite(NoSQLError):
    """The table no longer reflects the commit that the write was computed from; nothing was written."""


class NoSQLStore(Protocol):
    """Tables of items. All of a write is visible at once, or nothing is, through a ``kill -9`` too."""

    def tables(self) -> tuple[str, ...]:
        """Names of all tables, sorted."""
        ...

    def schema(self, table: str) -> pyarrow.Schema:
        """Columns of a table, the key columns first and not nullable."""
        ...

    def key(self, table: str) -> tuple[str, ...]:
        """Names of the key columns: partition key, then sort keys."""
        ...

    def source_commit(self, table: str) -> str | None:
        """Return the lake commit the table reflects; None where the table is absent or never had one."""
        ...

    def row_count(self, table: str) -> int:
        """Return the number of items, without a scan where the store keeps it."""
        ...

    def get(self, table: str, key: Key) -> dict[str, Any] | None:
        """Return one item as column name to Python value, or None."""
        ...

    def scan(
        self, table: str, start: Key | None = None, end: Key | None = None, batch_size: int = 65_536
    ) -> Iterator[pyarrow.RecordBatch]:
        """Yield items with ``start <= key < end`` in key order, from one consistent snapshot of the table."""
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
        items
            The rows; of two with the same key the one that is greatest by ``newest_by`` stays (without
            ``newest_by`` such a frame is refused with :class:`SchemaMismatch` naming a key).
        key
            Key columns, strings or integers, never null.
        newest_by
            With ``append``: an item replaces the stored one only where its values of these columns are greater,
            or equal and the rest of the row is greater in its encoded form: the outcome is the same in any order.
        delete
            Keys (a frame of the key columns) that are deleted first, in the same transaction.
        allow_overwrite_schema
            Lets a new column in; stored rows have null there. Without it such a write is refused. A column of
            another type or a missing column is always refused except with ``overwrite``.
        source_commit
            The lake commit that the table reflects after this write, stored in the same transaction.
        expected_commit, check_expected
            With ``check_expected`` the table must reflect ``expected_commit`` (None: absent or none) when the
            transaction begins, or :class:`StaleWrite` is raised.
        """
        ...

    def delete(self, table: str, keys: Sequence[Key]) -> int:
        """Delete items by key and return how many there were."""
        ...

    def drop(self, table: str) -> None:
        """Remove a table, its schema and its commit; an absent one is :class:`TableNotFound`."""
        ...

    def caches(self) -> tuple[Cache, ...]:
        """Return the folders that the store keeps beside its data; empty where it has none."""
        ...

    def clean(self) -> None:
        """Remove what no live process uses of :meth:`caches`."""
        ...

    def close(self) -> None:
        """Let go of the store."""
        ...
