"""Values of columns with their counts: what follows is done once for equal values, not for each row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow

ROWS = 1 << 17
"""The number of rows that are worked on at a time: their values stay in the processor's cache."""


def counted_numbers(values: Any) -> tuple[Any, Any]:
    """Return the distinct numbers of an array of NumPy in ascending order, and their counts.

    Parameters
    ----------
    values
        The numbers, at least one, without NaN.
    """
    if values.dtype.kind == "i":
        low, high = int(values.min()), int(values.max())
        if high - low < len(values):
            counts = np.bincount(values - low)
            places = np.flatnonzero(counts)
            return places + low, counts[places]
    return np.unique(values, return_counts=True)


def counted_texts(column: pyarrow.ChunkedArray) -> Iterator[tuple[pyarrow.Array, pyarrow.Array]]:
    """Yield the distinct texts of the parts of a column, and their counts. Nulls are left out.

    Parameters
    ----------
    column
        Texts, which may be dictionaries.
    """
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        counted = _by_place(column)
        if counted is not None:
            yield from [counted] if len(counted[0]) else []
            return
        column = column.cast(column.type.value_type)
    for chunk in column.chunks:
        for start in range(0, len(chunk), ROWS):
            counted = chunk.slice(start, ROWS).drop_null().value_counts()
            if len(counted):
                yield counted.field(0).cast(pa.string()), counted.field(1)


def _by_place(column: pyarrow.ChunkedArray) -> tuple[pyarrow.Array, pyarrow.Array] | None:
    """Count texts by their places in the dictionaries; None if these are large, or have a text twice or null."""
    import pyarrow as pa

    dictionaries: list[Any] = [chunk.dictionary for chunk in column.chunks]
    if sum(map(len, dictionaries)) >= len(column) or any(values.null_count for values in dictionaries):
        return None
    column = column.unify_dictionaries()
    values: Any = column.chunk(column.num_chunks - 1).dictionary
    if len(values.unique()) < len(values):
        return None
    counts = np.zeros(len(values), np.int64)
    for chunk in column.chunks:
        places: Any = chunk.indices
        counts += np.bincount(places.drop_null().to_numpy(), minlength=len(values))
    used = np.flatnonzero(counts)
    return values.take(pa.array(used)).cast(pa.string()), pa.array(counts[used])
