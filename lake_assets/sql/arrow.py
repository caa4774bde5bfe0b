"""Rows in Arrow batches as a dataset that DuckDB reads as often as a query needs: its columns, and its filter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as ds

from lake_assets.sql.wanted import Wanted

if TYPE_CHECKING:
    from lake_assets.sql.catalog import Batches
    from lake_assets.sql.clock import Clock


class _Scanner:
    """What DuckDB asks of a scanner: a reader.

    It reads a batch when DuckDB wants one. Arrow's own reads ahead in other threads, and goes on after a query.
    """

    def __init__(self, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
        self._schema, self._batches = schema, batches

    def to_reader(self) -> pa.RecordBatchReader:
        return pa.RecordBatchReader.from_batches(self._schema, self._batches)


class _Dataset(ds.Dataset):  # pyright: ignore[reportUntypedBaseClass]
    """What DuckDB asks of a dataset: its columns, and a scanner for those that a query needs."""

    def __init__(self, source: Batches, constants: Sequence[str | int], clock: Clock) -> None:
        self._source, self._constants, self._clock = source, constants, clock

    @property
    def schema(self) -> pa.Schema:
        return self._source.schema

    def scanner(self, columns: Sequence[str] | None = None, filter: Any = None, **_: Any) -> _Scanner:  # noqa: A002
        wanted = Wanted(self.schema, filter, self._constants)
        selected = list(self.schema.names if columns is None else columns)
        schema = pa.schema([self.schema.field(name) for name in selected])
        return _Scanner(schema, self._batches(selected, wanted))

    def _batches(self, selected: list[str], wanted: Wanted) -> Iterator[pa.RecordBatch]:
        for batch in self._source.read(wanted.columns(selected), wanted):
            # DuckDB hears of its interruption only when it gets a row.
            self._clock.refuse_late()
            # DuckDB leaves the filter to the scanner.
            kept = batch if wanted.filter is None else batch.filter(wanted.filter)
            yield kept.select(selected)


def as_dataset(source: Batches, constants: Sequence[str | int], clock: Clock) -> ds.Dataset:
    """Return a source as a dataset.

    Parameters
    ----------
    source
        The rows.
    constants
        The texts and integers in the query.
    clock
        Counts the time that the query may take.
    """
    return _Dataset(source, constants, clock)
