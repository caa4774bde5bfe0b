"""Rows in Arrow batches as a dataset that DuckDB reads as often as a query needs: its columns, and its filter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as ds

from lake_assets.sql.wanted import Wanted

if TYPE_CHECKING:
    from lake_assets.sql.catalog import Batches


class _Dataset(ds.Dataset):  # pyright: ignore[reportUntypedBaseClass]
    """What DuckDB asks of a dataset: its columns, and a scanner for those that a query needs."""

    def __init__(self, source: Batches, constants: Sequence[str | int]) -> None:
        self._source, self._constants = source, constants

    @property
    def schema(self) -> pa.Schema:
        return self._source.schema

    def scanner(self, columns: Sequence[str] | None = None, filter: Any = None, **_: Any) -> ds.Scanner:  # noqa: A002
        wanted = Wanted(self.schema, filter, self._constants)
        selected = list(self.schema.names if columns is None else columns)
        read = wanted.columns(selected)
        # DuckDB leaves the filter to the scanner.
        return ds.Scanner.from_batches(
            self._source.read(read, wanted),
            schema=pa.schema([self.schema.field(name) for name in read]),
            columns=selected,
            filter=filter,
        )


def as_dataset(source: Batches, constants: Sequence[str | int]) -> ds.Dataset:
    """Return a source as a dataset.

    Parameters
    ----------
    source
        The rows.
    constants
        The texts and integers in the query.
    """
    return _Dataset(source, constants)
