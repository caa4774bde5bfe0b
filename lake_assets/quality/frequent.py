"""The frequent values of a column, with their counts: exact while few values are distinct.

This is the summary of Misra and Gries, whose parts merge (Agarwal et al., "Mergeable Summaries"). DataSketches has one
of the same guarantee, which takes one value at a time from Python.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow

MOST = 1024
"""The number of values that are kept."""


@dataclass(slots=True)
class Frequent:
    """Values and their counts.

    Parameters
    ----------
    values
        The values, each once.
    counts
        Their counts, each at most :attr:`error` too low.
    error
        How much too low a count may be. Values whose count is not above it may be missing. If it is zero, all values
        are here, and the counts are exact.
    """

    values: pyarrow.Array
    counts: pyarrow.Array
    error: int = 0

    @property
    def is_exact(self) -> bool:
        """Whether all values are here, with their exact counts."""
        return not self.error

    def merge(self, others: Iterable[tuple[pyarrow.Array, pyarrow.Array, int]]) -> None:
        """Add the values of other parts.

        Parameters
        ----------
        others
            The values, counts and error of each part.
        """
        import pyarrow as pa

        # First each part by itself: sums over many values are slow.
        parts = [(self.values, self.counts, self.error)]
        for values, counts, error in others:
            kept, numbers, less = _kept(values, counts)
            parts.append((kept, numbers, error + less))
        columns = [
            pa.chunked_array([part[0] for part in parts], self.values.type),
            pa.chunked_array([part[1] for part in parts], pa.int64()),
        ]
        table = pa.Table.from_arrays(columns, ["value", "count"])
        summed = table.group_by("value", use_threads=False).aggregate([("count", "sum")]).combine_chunks()
        error = sum(part[2] for part in parts)
        self.values, self.counts, more = _kept(_one(summed["value"]), _one(summed["count_sum"]))
        self.error = error + more

    def top(self, number: int) -> Sequence[tuple[object, int]]:
        """Return the most frequent values with their counts.

        Parameters
        ----------
        number
            The largest number of values.
        """
        pairs = zip(self.values.to_pylist(), self.counts.to_pylist(), strict=True)
        return sorted(pairs, key=lambda pair: (-pair[1], str(pair[0])))[:number]


def _kept(values: pyarrow.Array, counts: pyarrow.Array) -> tuple[pyarrow.Array, pyarrow.Array, int]:
    import numpy as np
    import pyarrow as pa

    if len(values) <= MOST:
        return values, counts, 0
    numbers = counts.to_numpy()
    less = int(np.partition(numbers, -MOST - 1)[-MOST - 1])
    places = np.flatnonzero(numbers > less)
    return values.take(pa.array(places)), pa.array(numbers[places] - less, pa.int64()), less


def _one(column: pyarrow.ChunkedArray) -> pyarrow.Array:
    import pyarrow as pa

    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])
