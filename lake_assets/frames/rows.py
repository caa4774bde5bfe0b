"""Rows between a frame and a store: a schema, and Arrow tables of that schema."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow

BLOCK_BYTES = 32 << 20
"""Small tables are joined up to this size, since a Parquet file with many small row groups is slow to read."""


class Rows(ABC):
    """Rows in the stored types."""

    @property
    @abstractmethod
    def schema(self) -> pyarrow.Schema:
        """The columns of every table."""

    @abstractmethod
    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pyarrow.Table]:
        """Yield the rows, table by table.

        Parameters
        ----------
        columns
            The wanted columns, in their order; all columns by default.
        """

    def table(self) -> pyarrow.Table:
        """Return all rows as one table."""
        import pyarrow as pa

        return pa.concat_tables([self.schema.empty_table(), *self.tables()])


class TableRows(Rows):
    """The rows of one table.

    Parameters
    ----------
    table
        The rows, in the stored types.
    """

    def __init__(self, table: pyarrow.Table) -> None:
        self._table = table

    @property
    def schema(self) -> pyarrow.Schema:
        """The columns of the table."""
        return self._table.schema

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pyarrow.Table]:
        """Yield the table.

        Parameters
        ----------
        columns
            The wanted columns, in their order; all columns by default.
        """
        yield self._table if columns is None else self._table.select(list(columns))

    def table(self) -> pyarrow.Table:
        """Return the table."""
        return self._table


class StreamRows(Rows):
    """Rows that can be read once, table by table.

    Parameters
    ----------
    schema
        The schema of every table.
    tables
        The rows, in the stored types.
    """

    def __init__(self, schema: pyarrow.Schema, tables: Iterable[pyarrow.Table]) -> None:
        self._schema = schema
        self._tables = iter(tables)

    @property
    def schema(self) -> pyarrow.Schema:
        """The columns of every table."""
        return self._schema

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pyarrow.Table]:
        """Yield the rows that were not read yet.

        Parameters
        ----------
        columns
            The wanted columns, in their order; all columns by default.
        """
        for table in self._tables:
            yield table if columns is None else table.select(list(columns))


def joined(tables: Iterable[pyarrow.Table]) -> Iterator[pyarrow.Table]:
    """Join small tables to tables of at least :data:`BLOCK_BYTES`.

    Parameters
    ----------
    tables
        The tables.
    """
    import pyarrow as pa

    block: list[pa.Table] = []
    size = 0
    for table in tables:
        block.append(table)
        size += table.nbytes
        if size >= BLOCK_BYTES:
            yield pa.concat_tables(block)
            block, size = [], 0
    if block:
        yield pa.concat_tables(block)
