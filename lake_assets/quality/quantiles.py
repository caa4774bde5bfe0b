"""The sketch of quantiles (KLL) of Apache DataSketches, which is also made of sorted values with their counts.

A KLL sketch keeps values on levels, where those of level ``n`` stand for ``2**n`` values each. The library puts one
value after the other on level 0, and halves what is too much. Of many sorted values it is known at once what to keep:
one of each ``2**n`` neighbours, by chance. No rank is then off by more than ``2**n``, which is less than what the
library's own halving costs. The library's stored form is the same in all of its languages, so it is written here.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any, TypeAlias

import datasketches as _datasketches
import numpy as np

# It is made of C++, without types.
datasketches: Any = _datasketches

Values: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Counts: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

K = 400
RANK_ERROR = 1.5 * datasketches.kll_doubles_sketch.get_normalized_rank_error(K, False)
"""The error of a quantile's rank that is not exceeded in 99.9 % of cases: 1 % of the rows.

The library's own figure is that of 99 %. For errors that are nearly normal, half as much again covers 99.9 %.
"""

_NARROWEST = 8
"""The number of values of the lowest levels."""
_FEW = 1 << 13
"""So many values are given to the library one by one."""
_KEPT_BITS = 10
"""Of more values between 512 and 1,023 are kept, which is what a sketch of several levels has room for."""
_HEADER = struct.Struct("<BBBBHBxQHBx")


def new_quantiles() -> Any:
    """Return an empty sketch of quantiles."""
    return datasketches.kll_doubles_sketch(K)


def quantiles_of(state: bytes) -> Any:
    """Return the sketch of quantiles of a state.

    Parameters
    ----------
    state
        The state.
    """
    return datasketches.kll_doubles_sketch.deserialize(state) if state else new_quantiles()


def quantiles_of_counts(values: Values, counts: Counts) -> Any:
    """Return the sketch of quantiles of values that are counted.

    Parameters
    ----------
    values
        The values in ascending order, at least one, without NaN.
    counts
        Their counts.
    """
    ends = np.cumsum(counts)
    number = int(ends[-1])
    if number <= _FEW:
        sketch = new_quantiles()
        sketch.update(np.repeat(values, counts))
        return sketch
    top = number.bit_length() - _KEPT_BITS
    # What the top level's size does not divide is kept below: a level has a value where the number has a bit.
    odd = [level for level in range(top) if number >> level & 1]
    sizes = np.array([*(1 << level for level in odd), *[1 << top] * (number >> top)], np.int64)
    ranks = np.cumsum(sizes) - sizes + np.random.default_rng().integers(0, sizes)
    kept = values[np.searchsorted(ends, ranks, "right")]
    free = _capacity(top + 1) - len(kept)
    levels = [free + sum(each < level for each in odd) for level in range(top + 1)]
    flags = 2  # Level 0 is sorted, since it has one value at most.
    header = _HEADER.pack(5, 1, 15, flags, K, _NARROWEST, number, K, top + 1)
    bounds = np.array([values[0], values[-1]], "<f8")
    return quantiles_of(header + np.array(levels, "<u4").tobytes() + bounds.tobytes() + kept.astype("<f8").tobytes())


def exact_quantiles(values: Any, counts: Any, shares: Sequence[float]) -> list[float]:
    """Return quantiles between the two nearest values, as pandas does, but minus infinity where that is the lower one.

    Parameters
    ----------
    values
        The values in ascending order.
    counts
        Their counts.
    shares
        The shares of the values that lie below the quantiles.
    """
    ends = np.cumsum(counts)
    places = np.asarray(shares, float) * (ends[-1] - 1)
    lower = np.floor(places)
    below = values[np.searchsorted(ends, lower, "right")]
    above = values[np.searchsorted(ends, np.minimum(lower + 1, ends[-1] - 1), "right")]
    weights = places - lower
    return [
        low if low in (high, -math.inf) or not weight else _between(float(low), float(high), weight)
        for low, high, weight in zip(below.tolist(), above.tolist(), weights.tolist(), strict=True)
    ]


def _between(low: float, high: float, weight: float) -> float:
    width = high - low
    # The width of finite values may be beyond the greatest float.
    return low + width * weight if math.isfinite(width) else low * (1 - weight) + high * weight


def _capacity(levels: int) -> int:
    """Return how many values a sketch of some levels has room for, as the library computes it."""
    return sum(max(_NARROWEST, ((2 * K << depth) // 3**depth + 1) >> 1) for depth in range(levels))
