"""What two profiles of the same rows have in common, however the rows were parted and wherever they were read."""

from __future__ import annotations

from typing import Any

import pytest

from lake_assets.quality.column_profile import ColumnProfile
from lake_assets.quality.profile import Profile
from lake_assets.quality.quantiles import RANK_ERROR

ROUNDED = ("mean", "std", "skewness", "kurtosis", "mean_length")
"""They are sums of floats, which depend on the order by their last digits."""
SKETCHED = ("quantiles", "median", "histogram", "exactness")
_BOUND = 2 * RANK_ERROR
"""Of two sketches, each is within its bound."""


def check_same_rows(one: Profile, other: Profile) -> None:
    """Check that exact figures are equal, rounded ones nearly so, and sketched ones within their bounds."""
    assert (one.rows, list(one.columns)) == (other.rows, list(other.columns))
    for left, right in zip(one.columns.values(), other.columns.values(), strict=True):
        _check_figures(left, right)
        _check_sketches(left, right)


def _check_figures(left: ColumnProfile, right: ColumnProfile) -> None:
    a, b = left.as_dict(), right.as_dict()
    for name in ("top", "patterns"):
        if left.exactness(name) != "exact" or right.exactness(name) != "exact":
            a.pop(name, None)
            b.pop(name, None)
    for name in (*ROUNDED, *SKETCHED):
        found: tuple[Any, Any] = (a.pop(name, None), b.pop(name, None))
        if name in ROUNDED and isinstance(found[0], float):
            assert found[0] == pytest.approx(found[1], rel=1e-9), name
        else:
            assert type(found[0]) is type(found[1]), name
    assert a == b


def _check_sketches(left: ColumnProfile, right: ColumnProfile) -> None:
    shares = [0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0]
    points = left.stored_quantiles(shares)
    if left.exactness("quantiles") == right.exactness("quantiles") == "exact":
        assert points == right.stored_quantiles(shares)
        assert left.histogram() == right.histogram()
        return
    # At each of one's values, the other has about as many below. Equal values all count.
    for point, mine, others in zip(points, left.cdf(points), right.cdf(points), strict=True):
        assert abs(mine - others) <= _BOUND, (left.name, point)
    assert left.histogram()[0] == right.histogram()[0]
