"""Rows in Arrow batches as a dataset that DuckDB reads as often as a query needs, column by column and filtered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow.dataset as ds

from lake_assets.sql.key_ranges import KeyRange

if TYPE_CHECKING:
    import pyarrow

    from lake_assets.sql.catalog import Batches


class _Dataset(ds.Dataset):  # pyright: ignore[reportUntypedBaseClass]
    """What DuckDB asks of a dataset: its columns, and a scanner for those that a query needs."""

    def __init__(self, source: Batches, keys: KeyRange) -> None:
        self._source, self._keys = source, keys

    @property
    def schema(self) -> pyarrow.Schema:
        return self._source.schema

    def scanner(self, columns: Sequence[str] | None = None, filter: Any = None, **_: Any) -> ds.Scanner:  # noqa: A002
        batches = self._source.scan(self._keys.start, self._keys.end)
        wanted = list(columns) if columns is not None else None
        return ds.Scanner.from_batches(batches, schema=self.schema, columns=wanted, filter=filter)


def as_dataset(source: Batches, keys: KeyRange) -> ds.Dataset:
    """Return a source as a dataset.

    Parameters
    ----------
    source
        The rows.
    keys
        The keys of the rows that are needed.
    """
    return _Dataset(source, keys)
