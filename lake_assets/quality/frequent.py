"""The frequent values of a column, with their counts: exact while few values are distinct.

This is the summary of Misra and Gries, whose parts merge (Agarwal et al., "Mergeable Summaries"). DataSketches has one
of the same guarantee, which takes one value at a time from Python.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

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
            The distinct values of each part, their counts, and its error.
        """
        import pyarrow as pa

        # First each part by itself, so that no more is summed than needed.
        parts = [(self.values, self.counts, self.error)]
        for values, counts, error in others:
            kept, numbers, less = _kept(values, counts)
            parts.append((kept, numbers, error + less))
        values, counts = summed(*(pa.concat_arrays([part[at] for part in parts]) for at in (0, 1)))
        error = sum(part[2] for part in parts)
        self.values, self.counts, more = _kept(values, counts)
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


def summed(values: pyarrow.Array, counts: pyarrow.Array) -> tuple[pyarrow.Array, pyarrow.Array]:
    """Return the distinct ones of some values, and the sums of their counts.

    Parameters
    ----------
    values
        The values, without nulls.
    counts
        Their counts.
    """
    import pyarrow as pa

    encoded: Any = values.dictionary_encode()
    sums = np.zeros(len(encoded.dictionary), np.int64)
    np.add.at(sums, encoded.indices.to_numpy(), counts.to_numpy())
    return encoded.dictionary, pa.array(sums)


def _kept(values: pyarrow.Array, counts: pyarrow.Array) -> tuple[pyarrow.Array, pyarrow.Array, int]:
    import pyarrow as pa

    if len(values) <= MOST:
        return values, counts, 0
    numbers = counts.to_numpy()
    less = int(np.partition(numbers, -MOST - 1)[-MOST - 1])
    places = np.flatnonzero(numbers > less)
    return values.take(pa.array(places)), pa.array(numbers[places] - less, pa.int64()), less
