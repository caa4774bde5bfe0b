"""What a profile tells of constraints, without a look at the rows."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from lake_assets.quality.column_profile import EXACT, ColumnProfile
from lake_assets.quality.constraints import (
    Complete,
    Length,
    Member,
    Pattern,
    Range,
    RowConstraint,
    Unique,
)
from lake_assets.quality.iso_times import as_time
from lake_assets.quality.profile import Profile


@dataclass(frozen=True, slots=True)
class Broken:
    """The number of rows that break a constraint.

    Parameters
    ----------
    bad
        The number; at least so many, if it is not counted.
    counted
        Whether the number is exact.
    """

    bad: int
    counted: bool = True


_SOME = Broken(1, counted=False)


def broken_rows(one: RowConstraint, profile: Profile) -> Broken | None:
    """Return how many rows break a constraint; None if the profile does not tell whether any does.

    Parameters
    ----------
    one
        The constraint.
    profile
        The profile of the rows.
    """
    if isinstance(one, Complete):
        return Broken(profile.columns[one.column].nulls)
    if isinstance(one, Unique):
        return _unique(one, profile)
    if isinstance(one, Range):
        column = profile.columns[one.column]
        if column.nans or (column.count and column.min is None):
            return None
        low, high = (_bound(column, bound) for bound in (one.min, one.max))
        return _within(column.min, column.max, low, high, is_cut="[ns" in column.type)
    if isinstance(one, Member):
        return _members(one, profile)
    if isinstance(one, Pattern):
        return _matching(one, profile)
    if isinstance(one, Length):
        column = profile.columns[one.column]
        if column.count and column.min_length is None:
            return None  # DuckDB tells what has a length besides texts.
        return _within(column.min_length, column.max_length, one.min, one.max)
    return None


def age(newest: Any, now: dt.datetime) -> float | None:
    """Return the age of a time, in seconds; None if it is no time.

    Parameters
    ----------
    newest
        The time, as :func:`.as_time` takes it.
    now
        The time to compare with.
    """
    time = as_time(newest)
    return None if time is None else (now - time).total_seconds()


def _unique(one: Unique, profile: Profile) -> Broken | None:
    if len(one.columns) > 1:
        return None
    column = profile.columns[one.columns[0]]
    if column.exactness("distinct") != EXACT or column.nans:
        return None
    return Broken(0) if column.distinct == column.count else _SOME


def _members(one: Member, profile: Profile) -> Broken | None:
    column = profile.columns[one.column]
    if column.type in ("float", "halffloat"):
        return None  # A value such as 0.1 is another number in 32 bits.
    if column.personal or column.exactness("top") != EXACT or column.nans or not column.top(1):
        return None if column.count or column.nans else Broken(0)
    found = column.top(1 << 20)
    kinds = {type(value) for value, _ in found} | {type(value) for value in one.values}
    return Broken(sum(count for value, count in found if value not in one.values)) if len(kinds) == 1 else None


def _matching(one: Pattern, profile: Profile) -> Broken | None:
    import pyarrow as pa
    import pyarrow.compute

    pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them
    column = profile.columns[one.column]
    if not column.count:
        return Broken(0)
    if column.personal or column.type != "string" or column.exactness("top") != EXACT:
        return None
    texts, counts = zip(*column.top(1 << 20), strict=True)
    try:
        # Both engines are RE2.
        fits = pc.match_substring_regex(pa.array(texts, pa.string()), rf"\A(?:{one.regex})\z")
    except pa.ArrowInvalid:
        return None  # DuckDB says what is wrong.
    return Broken(sum(count for count, fit in zip(counts, fits.to_pylist(), strict=True) if not fit))


def _bound(column: ColumnProfile, bound: Any) -> Any:
    """Return the bound as DuckDB compares it: as a value of the column's type, where that is narrower."""
    if not isinstance(bound, float) or not math.isfinite(bound):
        return bound
    if column.type == "float":
        return float(np.float32(bound))
    return Decimal(repr(bound)) if column.type.startswith("decimal") else bound


def _within(least: Any, greatest: Any, low: Any, high: Any, *, is_cut: bool = False) -> Broken | None:
    """Compare bounds. Where nanoseconds were cut off, what is equal may not have been."""
    if least is None:
        return Broken(0)
    try:
        low, high = (_like(least, bound) for bound in (low, high))
        if is_cut and (least == low or greatest == high):
            return None
        return Broken(0) if (low is None or least >= low) and (high is None or greatest <= high) else _SOME
    except (TypeError, ValueError):
        return None


def _like(value: Any, bound: Any) -> Any:
    if not isinstance(bound, str) or not isinstance(value, dt.date):
        return bound
    return (dt.datetime if isinstance(value, dt.datetime) else dt.date).fromisoformat(bound)
