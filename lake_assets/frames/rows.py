"""Rows on their way between a frame and what stores them: a schema, and Arrow tables that have it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow

BLOCK_BYTES = 32 << 20
"""Small tables are joined until they are as large: a row group of a Parquet file for each would be slow to read."""


class Rows(ABC):
    """Rows in the types that are stored."""

    @property
    @abstractmethod
    def schema(self) -> pyarrow.Schema:
        """The columns of every table."""

    @abstractmethod
    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pyarrow.Table]:
        """Yield the rows, a table at a time.

        Parameters
        ----------
        columns
            The columns that are wanted, in their order; all of them where None.
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
        The rows, in the types that are stored.
    """

    def __init__(self, table: pyarrow.Table) -> None:
        self._table = table

    @property
    def schema(self) -> pyarrow.Schema:
        """The columns of the table."""
        return self._table.schema

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pyarrow.Table]:
        """Yield the table."""
        yield self._table if columns is None else self._table.select(list(columns))

    def table(self) -> pyarrow.Table:
        """Return the table."""
        return self._table


class StreamRows(Rows):
    """Rows that are read once, a table at a time.

    Parameters
    ----------
    schema
        The columns of every table.
    tables
        The rows, in the types that are stored.
    """

    def __init__(self, schema: pyarrow.Schema, tables: Iterable[pyarrow.Table]) -> None:
        self._schema = schema
        self._tables = iter(tables)

    @property
    def schema(self) -> pyarrow.Schema:
        """The columns of every table."""
        return self._schema

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pyarrow.Table]:
        """Yield the rows that were not read yet."""
        for table in self._tables:
            yield table if columns is None else table.select(list(columns))


def joined(tables: Iterable[pyarrow.Table]) -> Iterator[pyarrow.Table]:
    """Yield tables, small ones joined to one of :data:`BLOCK_BYTES`."""
    import pyarrow as pa

    held: list[pa.Table] = []
    size = 0
    for table in tables:
        held.append(table)
        size += table.nbytes
        if size >= BLOCK_BYTES:
            yield pa.concat_tables(held)
            held, size = [], 0
    if held:
        yield pa.concat_tables(held)
