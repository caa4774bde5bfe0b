"""Which rows and columns of a scan are wanted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from lake_assets.nosql.errors import NoSQLError
from lake_assets.nosql.expression import Condition


class Selection:
    """A filter and a projection of one table's batches.

    Parameters
    ----------
    table
        Name of the table, for errors.
    schema
        The table's columns.
    columns
        The wanted columns. None for all.
    where
        An SQL expression over the columns.
    batch_size
        The most items in a batch, which it is checked to be.

    Raises
    ------
    NoSQLError
        A column is unknown, or the filter is no boolean expression.
    """

    def __init__(
        self, table: str, schema: pa.Schema, columns: Sequence[str] | None, where: str | None, batch_size: int = 1
    ) -> None:
        if batch_size < 1:
            raise NoSQLError(f"table {table!r}: batch_size is {batch_size}, not 1 or more")
        unknown = [name for name in columns or () if name not in schema.names]
        if unknown:
            raise NoSQLError(f"table {table!r} has no column {unknown[0]!r}: it has {', '.join(schema.names)}")
        self._columns = None if columns is None else list(columns)
        self._filter = Condition(table, where, schema) if where else None

    def of(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the wanted part of each batch, without batches that have none.

        Parameters
        ----------
        batches
            Batches of the table's schema.
        """
        for batch in batches:
            if self._filter is not None:
                batch = batch.filter(self._filter.mask(pa.Table.from_batches([batch])))
            if batch.num_rows:
                yield batch if self._columns is None else batch.select(self._columns)
