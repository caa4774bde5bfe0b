"""Sums are exact, and moments as precise as the values: compared with exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_assets.quality.sums import Moments

FINITE = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=40)


def moments(values: list[float]) -> Moments:
    found = Moments()
    found.add_floats(np.array(values, float))
    return found


@given(FINITE, st.integers(0, 40))
def test_the_sum_is_exact_however_the_values_are_parted(values: list[float], at: int) -> None:
    parted = moments(values[:at])
    parted.merge(moments(values[at:]))
    assert parted.sum == sum(map(Fraction, values))
    assert moments(values).sum == parted.sum


HARD = {
    "cancelling": [1e16, 1.0, -1e16, 3.0],
    "far from zero": [1e9 + x / 7 for x in range(50)],
    "very far from zero": [1e15 + x for x in range(4, 40)],
    "tiny": [5e-324 * x for x in range(1, 30)],
    "small": [1e-170 * x * x for x in range(1, 30)],
    "huge": [1e300 * x for x in range(1, 30)],
    "largest": [1.7e308, -1.7e308, 1.6e308, 0.0, 1e-300],
    "one outlier": [*([1.0] * 1000), 1e12],
    "near": [1.0, 1.0 + 2**-52, 1.0 + 2**-51, 1.0 + 2**-50],
}


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("name", HARD)
def test_moments_of_hard_cases(name: str, parts: int) -> None:
    mp: Any = mpmath
    values = HARD[name]
    found = Moments()
    for at in range(parts):
        found.merge(moments(values[at::parts]))
    with mp.workdps(400):
        n, exact = len(values), [mp.mpf(x) for x in values]
        mean = mp.fsum(exact) / n
        m2, m3, m4 = (mp.fsum((x - mean) ** power for x in exact) for power in (2, 3, 4))
        deviation = mp.sqrt(m2 / (n - 1))
        skewness = n * mp.sqrt(n - 1) / (n - 2) * m3 / m2 ** mp.mpf(1.5)
        kurtosis = mp.mpf(n * (n + 1) * (n - 1)) / ((n - 2) * (n - 3)) * m4 / m2**2 - mp.mpf(3 * (n - 1) ** 2) / (
            (n - 2) * (n - 3)
        )
    assert float(found.mean) == float(mean)
    assert found.deviation == pytest.approx(float(deviation), rel=1e-12)
    assert found.skewness == pytest.approx(float(skewness), rel=1e-9, abs=1e-9)
    assert found.kurtosis == pytest.approx(float(kurtosis), rel=1e-9, abs=1e-9)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=40), st.integers(0, 40))
def test_sums_of_integers_are_exact(values: list[int], at: int) -> None:
    found = Moments(integers=True)
    for part in (values[:at], values[at:]):
        found.add_integers(np.array(part, np.int64))
    assert found.sum == sum(values)
    if len(values) > 1:
        mean = Fraction(sum(values), len(values))
        variance = sum((x - mean) ** 2 for x in values) / (len(values) - 1)
        assert found.variance() == pytest.approx(float(variance), rel=1e-9)


def test_large_integers_that_differ_little_keep_their_deviation() -> None:
    found = Moments(integers=True)
    found.add_integers(np.arange(11, dtype=np.int64) + 2**62)
    assert found.deviation == pytest.approx(math.sqrt(11))
