"""What is counted of a column: rows, nulls, values, distinct ones, and lengths."""

from __future__ import annotations

from lake_assets.quality.column_state import ColumnState
from lake_assets.quality.frequent import MOST


class ColumnCounts:
    """The counts of one column, which are exact but for :attr:`distinct`.

    Parameters
    ----------
    state
        The state that the figures are computed from.
    """

    def __init__(self, state: ColumnState) -> None:
        self._state = state

    @property
    def name(self) -> str:
        """Name of the column."""
        return self._state.name

    @property
    def type(self) -> str:
        """Arrow's name of its type."""
        return str(self._state.type)

    @property
    def personal(self) -> bool:
        """Whether the column was declared personal."""
        return self._state.personal

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self._state.rows

    @property
    def nulls(self) -> int:
        """The number of nulls."""
        return self._state.nulls

    @property
    def nans(self) -> int:
        """The number of NaNs."""
        return self._state.nans

    @property
    def infinities(self) -> int:
        """The number of infinite values."""
        return self._state.above + self._state.below

    @property
    def count(self) -> int:
        """The number of values: of rows that are neither null nor NaN."""
        return self._state.rows - self._state.nulls - self._state.nans

    @property
    def completeness(self) -> float | None:
        """The share of rows that have a value."""
        return self.count / self.rows if self.rows else None

    @property
    def empty(self) -> int | None:
        """The number of empty texts."""
        return self._state.texts.empty if self._is("text") else None

    @property
    def blank(self) -> int | None:
        """The number of texts that consist of white space and are not empty."""
        return self._state.texts.blank if self._is("text") else None

    @property
    def garbled(self) -> int | None:
        """The number of texts that look as if they had been decoded wrongly, such as ``MÃ¼ller`` (mojibake)."""
        return self._state.texts.garbled if self._is("text") else None

    @property
    def years(self) -> tuple[int, int] | None:
        """The first and the last year of texts that are dates; None if they are less than half of the texts."""
        return self._state.texts.years()

    @property
    def zeros(self) -> int | None:
        """The number of zeros."""
        return self._state.zeros if self.is_numeric else None

    @property
    def negatives(self) -> int | None:
        """The number of values below zero."""
        return self._state.negatives if self.is_numeric else None

    @property
    def distinct(self) -> int:
        """The number of distinct values."""
        low, high = self._distinct_limits
        return min(max(round(self._state.distinct.estimate()), low), high)

    @property
    def _distinct_limits(self) -> tuple[int, int]:
        frequent = self._state.frequent
        if self._state.personal or self._is("other"):
            return min(1, self.count), self.count
        known = len(frequent.values)
        return (known, known) if frequent.is_exact else (min(MOST + 1, self.count), self.count)

    @property
    def uniqueness(self) -> float | None:
        """The number of distinct values by that of values."""
        return self.distinct / self.count if self.count else None

    @property
    def min_length(self) -> int | None:
        """The length of the shortest text, in characters."""
        return self._state.texts.shortest

    @property
    def max_length(self) -> int | None:
        """The length of the longest text."""
        return self._state.texts.longest

    @property
    def mean_length(self) -> float | None:
        """The mean length of the texts."""
        lengths = self._state.texts.lengths
        return float(lengths.mean) if lengths.count else None

    @property
    def is_numeric(self) -> bool:
        """Whether the values are numbers, or true and false."""
        return self._is("integer", "float", "decimal", "boolean")

    @property
    def is_time(self) -> bool:
        """Whether the values are dates, times or durations."""
        return self._is("time")

    @property
    def is_ordered(self) -> bool:
        """Whether the values are known as numbers: they have quantiles."""
        return not self._state.quantiles.is_empty()

    def _is(self, *kinds: str) -> bool:
        return self._state.kind in kinds
