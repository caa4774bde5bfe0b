"""The figures of a column, each of which says how exact it is."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from datetime import timedelta
from fractions import Fraction
from typing import Any

import numpy as np

from lake_assets.quality.column_counts import ColumnCounts
from lake_assets.quality.quantiles import RANK_ERROR, exact_quantiles
from lake_assets.quality.sketches import DISTINCT_ERROR
from lake_assets.quality.stored_values import as_json, microseconds, restored
from lake_assets.quality.sums import Moments

EXACT = "exact"
QUARTILES = (0.25, 0.5, 0.75)
BINS = 20


class ColumnProfile(ColumnCounts):
    """The figures of one column. A figure that the column's type does not have, or that no value gives, is None.

    NaN is no value, as in pandas: it is counted in :attr:`nans` alone. Of a column that was declared personal there
    are only counts and lengths.

    Parameters
    ----------
    state
        The state that the figures are computed from.
    """

    @property
    def min(self) -> Any:
        """The lowest value."""
        return restored(self._state, self._state.low)

    @property
    def max(self) -> Any:
        """The highest value."""
        return restored(self._state, self._state.high)

    @property
    def sum(self) -> Any:
        """The sum: an int of integers, otherwise the nearest float."""
        if not self.is_numeric or self._state.personal:
            return None
        total = self._state.moments.sum
        return int(total) if self._is("integer", "boolean") else self._with_infinities(_float(total))

    @property
    def mean(self) -> Any:
        """The mean: of times a time, in whole units as in pandas."""
        if not self._moments.count and not self.infinities:
            return None
        if self._is("time"):
            return restored(self._state, int(self._moments.mean))
        return self._with_infinities(_float(self._moments.mean) if self._moments.count else 0.0)

    @property
    def std(self) -> Any:
        """The standard deviation of a sample, as in pandas: of times a duration, in whole microseconds."""
        found = self._known(self._moments.deviation)
        if found is None or not self._is("time"):
            return found
        try:
            return timedelta(microseconds=int(found * microseconds(self.type)))
        except OverflowError:
            return None

    @property
    def skewness(self) -> float | None:
        """The skewness, without bias."""
        return self._known(self._moments.skewness)

    @property
    def kurtosis(self) -> float | None:
        """The excess kurtosis, without bias."""
        return self._known(self._moments.kurtosis)

    @property
    def median(self) -> Any:
        """The quantile of one half."""
        return self.quantile(0.5)

    def quantile(self, share: float) -> Any:
        """Return the value below which a share of the values is. It is never outside of :attr:`min` and :attr:`max`.

        If it is exact, it lies between two values as in pandas; otherwise it is one of the values.

        Parameters
        ----------
        share
            From 0 to 1.
        """
        return self.quantiles([share])[0]

    def quantiles(self, shares: Sequence[float]) -> list[Any]:
        """Return several quantiles.

        Parameters
        ----------
        shares
            From 0 to 1.
        """
        if not self.is_ordered:
            return [None for _ in shares]
        state = self._state
        ends: dict[float, Any] = {0.0: state.low, 1.0: state.high}
        within = [min(max(value, state.low), state.high) for value in self.stored_quantiles(shares)]
        found = [ends.get(share, value) for share, value in zip(shares, within, strict=True)]
        return [restored(state, math.floor(value) if self._is("time") else value) for value in found]

    def stored_quantiles(self, shares: Sequence[float]) -> list[Any]:
        """Return several quantiles as numbers, such as the days of dates; none if there are none.

        Parameters
        ----------
        shares
            From 0 to 1.
        """
        state = self._state
        if not self.is_ordered:
            return []
        if self._quantiles_are_exact:
            found = exact_quantiles(*self._counted(), shares)
        else:
            found = list(state.quantiles.get_quantiles(list(shares), True))
        # A decimal that is no float lies beside one.
        low, high = (float(end) if self._is("decimal") else end for end in (state.low, state.high))
        ends: dict[float, Any] = {0.0: low, 1.0: high}
        return [ends.get(share, min(max(value, low), high)) for share, value in zip(shares, found, strict=True)]

    def top(self, number: int = 10) -> Sequence[tuple[Any, int]]:
        """Return the most frequent values with their counts.

        Parameters
        ----------
        number
            The largest number of values.
        """
        return [(restored(self._state, value), count) for value, count in self._state.frequent.top(number)]

    def patterns(self, number: int = 10) -> Sequence[tuple[str, int]]:
        """Return the most frequent shapes of texts with their counts, such as ``A9`` for ISINs without letters.

        Parameters
        ----------
        number
            The largest number of shapes.
        """
        return [(str(shape), count) for shape, count in self._state.texts.shapes.top(number)]

    @property
    def semantic_type(self) -> str | None:
        """What at least 95 % of the texts that are not empty look like, such as ``ISIN`` or ``e-mail``."""
        return self._state.texts.meaning()

    @property
    def meant(self) -> int:
        """The number of texts that are of the semantic type."""
        meaning = self.semantic_type
        return self._state.texts.meanings[meaning] if meaning else 0

    def cdf(self, points: Sequence[float]) -> list[float]:
        """Return the share of the values that are at or below each of some ascending points.

        Parameters
        ----------
        points
            The points, in units of the stored numbers.
        """
        if self._state.quantiles.is_empty():
            return [math.nan for _ in points]
        if self._quantiles_are_exact:
            values, counts = self._counted()
            sums = np.concatenate([[0], np.cumsum(counts)])
            return (sums[np.searchsorted(values, points, "right")] / sums[-1]).tolist()
        return [self._state.quantiles.get_rank(point, True) for point in points]

    def histogram(self, bins: int = BINS) -> tuple[list[Any], list[int]]:
        """Return the edges and counts of bins of equal width. A bin includes its upper edge, the first one both.

        Parameters
        ----------
        bins
            The number of bins.
        """
        low, high = self._state.low, self._state.high
        if self._state.quantiles.is_empty() or not math.isfinite(low) or not math.isfinite(high):
            return [], []
        # By halves, since the width may be beyond the greatest float.
        halves = np.linspace(float(low) / 2, float(high) / 2, bins + 1 if high > low else 2)
        edges = np.array([float(low), *(2 * halves[1:-1]), float(high)])
        shares = [0.0, *self.cdf(edges[1:-1].tolist()), 1.0]
        ranks = [round(share * self.count) for share in shares]
        counts = [after - before for before, after in itertools.pairwise(ranks)]
        if self._is("time"):  # A float beside the last time may be none.
            return [restored(self._state, min(max(round(edge), low), high)) for edge in edges.tolist()], counts
        return [restored(self._state, edge) for edge in edges.tolist()], counts

    def foreign(self, other: ColumnProfile) -> list[int]:
        """Return the counts of the shapes of another column's texts that are not among those of this one.

        Parameters
        ----------
        other
            The other column.
        """
        known = set(self._state.texts.shapes.values.to_pylist())
        if not self._state.texts.shapes.is_exact:
            return []
        return [count for shape, count in other.patterns(1 << 20) if shape not in known]

    def exactness(self, figure: str) -> str:
        """Return how exact a figure is: ``exact``, or its bound.

        Parameters
        ----------
        figure
            Its name, such as ``distinct``.
        """
        state = self._state
        if figure == "distinct":
            low, high = self._distinct_limits
            return EXACT if low == high else f"± {DISTINCT_ERROR:.1%} in 99.9 % of cases"
        if figure in ("median", "quantiles", "histogram"):
            return EXACT if self._quantiles_are_exact else f"rank ± {RANK_ERROR:.1%} of the values in 99.9 % of cases"
        if figure == "top":
            return EXACT if state.frequent.is_exact else f"counts at most {state.frequent.error} too low"
        if figure == "patterns":
            shapes = state.texts.shapes
            return EXACT if shapes.is_exact else f"counts at most {shapes.error} too low"
        if figure in ("std", "skewness", "kurtosis"):
            return "rounded"
        if figure in ("mean", "sum") and self._is("decimal"):
            return "of the values as floats"
        return EXACT if figure != "semantic_type" else "inferred"

    def as_dict(self) -> dict[str, Any]:
        """Return the figures that the column has, as values of JSON, with how exact those are that are not exact."""
        figures: dict[str, Any] = {name: getattr(self, name) for name in _FIGURES}
        shares = (0.01, 0.05, *QUARTILES, 0.95, 0.99)
        found = zip(shares, self.quantiles(shares), strict=True)
        figures["quantiles"] = {str(share): value for share, value in found if value is not None}
        figures["histogram"] = (
            dict(zip(("edges", "counts"), self.histogram(), strict=True)) if figures["quantiles"] else {}
        )
        figures["top"] = [{"value": value, "count": count} for value, count in self.top()]
        figures["patterns"] = [{"pattern": shape, "count": count} for shape, count in self.patterns(5)]
        shown = {name: as_json(value) for name, value in figures.items() if value not in (None, {}, [])}
        inexact = {name: how for name in shown if (how := self.exactness(name)) != EXACT}
        return {**shown, "exactness": inexact}

    @property
    def _moments(self) -> Moments:
        return self._state.moments

    @property
    def _quantiles_are_exact(self) -> bool:
        return self._state.frequent.is_exact and not self._is("decimal")

    def _counted(self) -> tuple[Any, Any]:
        values, counts = self._state.frequent.values.to_numpy(), self._state.frequent.counts.to_numpy()
        order = np.argsort(values)
        return values[order], counts[order]

    def _known(self, value: float) -> float | None:
        if self.infinities or math.isnan(value):
            return None
        return value

    def _with_infinities(self, value: float) -> float:
        state = self._state
        return value + (math.inf if state.above else 0.0) - (math.inf if state.below else 0.0)


_FIGURES = (
    *("name", "type", "personal", "rows", "count", "nulls", "nans", "infinities", "empty", "blank", "garbled", "zeros"),
    *("negatives", "distinct", "min", "max", "sum", "mean", "std", "skewness", "kurtosis", "median"),
    *("min_length", "max_length", "mean_length", "semantic_type"),
)


def _float(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
