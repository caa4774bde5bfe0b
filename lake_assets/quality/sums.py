"""Exact sums, and the central moments of columns of numbers. The results of parts merge.

A float is an integer times a power of two. The integers of each power are summed apart, so no sum is rounded, and the
order of the values does not matter. The moments are merged as Chan and Pébay do it, around exact means.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Integers: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

_LOWEST = 1074 + 53
"""The smallest float is ``2**-1074``; its mantissa is written with 53 bits."""
_HALF = 27
CHUNK = 1 << 16
"""The number of values that are added at a time. Sums of their halves stay below ``2**53``, so they are exact."""
MOST = 1 << 26
"""How often values may be there, together, that are added with their counts: their sums stay exact, too."""


def exact_sum(values: Floats, counts: Integers | None = None) -> int:
    """Return the sum of finite floats in units of ``2**-1127``.

    Parameters
    ----------
    values
        The values, at most :data:`CHUNK` of them.
    counts
        How often each is there, at most :data:`MOST` times together; by default once.
    """
    if not len(values):
        return 0
    mantissas, exponents = np.frexp(values)
    whole = (mantissas * 2.0**53).astype(np.int64)
    high = whole >> _HALF
    lowest = int(exponents.min())
    places = exponents - lowest
    low = whole - (high << _HALF)
    highs = np.bincount(places, high if counts is None else high * counts)
    lows = np.bincount(places, low if counts is None else low * counts)
    total = 0
    for at in np.flatnonzero((highs != 0) | (lows != 0)).tolist():
        total += ((int(highs[at]) << _HALF) + int(lows[at])) << at
    # A value is its mantissa times 2**(exponent - 53).
    return total << (lowest - 53 + _LOWEST)


@dataclass(slots=True)
class Moments:
    """The number, exact sum, and central moments of numbers.

    The powers are kept in units of a power of two, so that neither very large nor very small values are lost.
    """

    count: int = 0
    units: int = 0
    """The sum in units of ``2**-1127``, or of one for integers."""
    integers: bool = False
    exponent: int = 0
    powers: tuple[float, float, float] = field(default=(0.0, 0.0, 0.0))
    """The sums of the second, third and fourth powers of the differences from the mean, in units of the exponent."""

    @property
    def sum(self) -> Fraction:
        """The sum."""
        return Fraction(self.units) if self.integers else Fraction(self.units, 1 << _LOWEST)

    @property
    def mean(self) -> Fraction:
        """The mean of at least one value."""
        return self.sum / self.count

    def variance(self, ddof: int = 1) -> float:
        """Return the variance; NaN if there are too few values.

        Parameters
        ----------
        ddof
            What is subtracted from the number of values to divide by.
        """
        if self.count <= ddof:
            return math.nan
        return _scaled(self.powers[0] / (self.count - ddof), 2 * self.exponent)

    @property
    def deviation(self) -> float:
        """The standard deviation of a sample; NaN for fewer than two values."""
        if self.count < 2:
            return math.nan
        return _scaled(math.sqrt(self.powers[0] / (self.count - 1)), self.exponent)

    @property
    def skewness(self) -> float:
        """The skewness, without bias as in pandas; NaN for fewer than three values."""
        n, (m2, m3, _) = self.count, self.powers
        if n < 3:
            return math.nan
        if m2 <= 0:
            return 0.0
        return n * math.sqrt(n - 1) / (n - 2) * m3 / (m2 * math.sqrt(m2))

    @property
    def kurtosis(self) -> float:
        """The excess kurtosis, without bias as in pandas; NaN for fewer than four values."""
        n, (m2, _, m4) = self.count, self.powers
        if n < 4:
            return math.nan
        if m2 <= 0:
            return 0.0
        ratio = n * (n + 1) * (n - 1) / ((n - 2) * (n - 3)) * m4 / (m2 * m2)
        return ratio - 3 * (n - 1) ** 2 / ((n - 2) * (n - 3))

    def add_floats(self, values: Floats, counts: Integers | None = None) -> None:
        """Add finite floats.

        Parameters
        ----------
        values
            The values.
        counts
            How often each is there, at most :data:`MOST` times together; by default once.
        """
        for part, weights in _chunks(values, counts):
            units = exact_sum(part, weights)
            mean = Fraction(units, _total(part, weights) << _LOWEST)
            # In units near the largest value: differences neither overflow nor lose what is below the smallest float.
            shift = math.frexp(float(np.abs(part).max()))[1]
            middle = mean / Fraction(2) ** shift
            near = float(middle)
            differences = _by_power(part, -shift) - near
            self.merge(_moments(differences, weights, shift, float(middle - Fraction(near)), units, integers=False))

    def add_integers(self, values: Integers, counts: Integers | None = None) -> None:
        """Add integers of 64 bits.

        Parameters
        ----------
        values
            The values.
        counts
            How often each is there, at most :data:`MOST` times together; by default once.
        """
        for part, weights in _chunks(values, counts):
            high, low = part >> 32, part & 0xFFFFFFFF
            if weights is not None:
                high, low = high * weights, low * weights
            units = (int(high.sum()) << 32) + int(low.sum())
            mean = Fraction(units, _total(part, weights))
            base = round(mean)
            if int(part.max()) - int(part.min()) < 1 << 62:
                differences = (part - base).astype(np.float64)
            else:
                differences = part.astype(np.float64) - float(base)
            self.merge(_moments(differences, weights, 0, float(mean - base), units, integers=True))

    def merge(self, other: Moments) -> None:
        """Add the values of another part.

        Parameters
        ----------
        other
            The moments of the other part.
        """
        if not other.count:
            return
        if not self.count:
            self.count, self.units, self.integers = other.count, other.units, other.integers
            self.exponent, self.powers = other.exponent, other.powers
            return
        a, b = self.count, other.count
        delta = other.mean - self.mean
        exponent = max(self.exponent, other.exponent, _exponent(delta))
        d = float(delta / Fraction(2) ** exponent)
        a2, a3, a4 = _in_units(self.powers, self.exponent - exponent)
        b2, b3, b4 = _in_units(other.powers, other.exponent - exponent)
        n = a + b
        m2 = a2 + b2 + d * d * a * b / n
        m3 = a3 + b3 + d**3 * a * b * (a - b) / n**2 + 3 * d * (a * b2 - b * a2) / n
        m4 = (
            a4
            + b4
            + d**4 * a * b * (a * a - a * b + b * b) / n**3
            + 6 * d * d * (a * a * b2 + b * b * a2) / n**2
            + 4 * d * (a * b3 - b * a3) / n
        )
        self.count, self.exponent, self.powers = n, exponent, (m2, m3, m4)
        if self.integers == other.integers:
            self.units += other.units
        else:
            total = self.sum + other.sum
            self.units, self.integers = int(total * (1 << _LOWEST)), False


def _chunks(values: Any, counts: Integers | None) -> Iterator[tuple[Any, Integers | None]]:
    for start in range(0, len(values), CHUNK):
        places = slice(start, start + CHUNK)
        yield values[places], None if counts is None else counts[places]


def _total(values: Any, counts: Integers | None) -> int:
    return len(values) if counts is None else int(counts.sum())


def _moments(
    differences: Floats, counts: Integers | None, shift: int, rest: float, units: int, *, integers: bool
) -> Moments:
    """Return the moments of values, given their differences from nearly the mean.

    The differences and the rest of the mean are in units of ``2**shift``.
    """
    n = _total(differences, counts)
    largest = float(np.abs(differences).max())
    exponent = math.frexp(largest)[1] if largest else 0
    d = _by_power(differences, -exponent)
    off = math.ldexp(rest, -exponent) if rest else 0.0
    if off:
        d = d - off
    weighted = d if counts is None else d * counts
    # What remains of the sum of the differences after rounding.
    mean = float(weighted.sum()) / n
    # Not by BLAS, whose threads would wait for each other for so little.
    squares = weighted * d
    s2, s3, s4 = float(squares.sum()), float((squares * d).sum()), float((squares * d * d).sum())
    m2 = max(0.0, s2 - n * mean * mean)
    m3 = s3 - 3 * mean * s2 + 2 * n * mean**3
    m4 = s4 - 4 * mean * s3 + 6 * mean * mean * s2 - 3 * n * mean**4
    return Moments(n, units, integers, exponent + shift, (m2, m3, m4))


def _by_power(values: Floats, exponent: int) -> Floats:
    # In two steps, since the power of two may be beyond that of a float.
    half = exponent // 2
    return values * 2.0**half * 2.0 ** (exponent - half)


def _exponent(value: Fraction) -> int:
    if not value:
        return -(1 << 20)
    return abs(value.numerator).bit_length() - value.denominator.bit_length() + 1


def _in_units(powers: tuple[float, float, float], shift: int) -> tuple[float, float, float]:
    shift = max(shift, -2000)
    return _scaled(powers[0], 2 * shift), _scaled(powers[1], 3 * shift), _scaled(powers[2], 4 * shift)


def _scaled(value: float, exponent: int) -> float:
    try:
        return math.ldexp(value, exponent)
    except OverflowError:
        return math.copysign(math.inf, value)
