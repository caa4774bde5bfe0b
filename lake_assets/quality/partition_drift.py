"""Drift of a partition that is new: compared with other partitions, which have other rows and other times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import inf
from statistics import median

from lake_assets.quality.column_drift import NEARLY_ALL
from lake_assets.quality.column_profile import ColumnProfile
from lake_assets.quality.drift import drift, is_same
from lake_assets.quality.profile import Profile, merged
from lake_assets.quality.thresholds import Finding, Thresholds

_ENOUGH = 3
"""The number of other partitions that tell how much partitions differ."""
_MORE = 1.5
"""How many times as much as others a partition must differ."""
_MOVES = ("ks", "psi")
"""What differs between any two partitions of times, and of numbers that go on."""


def drift_of_partition(others: Sequence[Profile], new: Profile, thresholds: Thresholds | None = None) -> list[Finding]:
    """Return what differs between a new partition and others, by more than these differ from each other.

    A part has fewer rows than the whole, and later times. So numbers of rows and bounds are not compared, but how long
    a time each partition covers.

    Parameters
    ----------
    others
        The profiles of other partitions, of the same columns, at least one.
    new
        The profile of the new partition.
    thresholds
        How much may differ.
    """
    limits = thresholds or Thresholds()
    stale = Finding("stale", "", 1, 0, "the rows seem to be those of another published partition")
    return [
        *([stale] if any(is_same(one, new) for one in others) else []),
        *_unusual(others, new, limits),
        *_of_columns(others, new, limits),
    ]


def _unusual(others: Sequence[Profile], new: Profile, limits: Thresholds) -> Iterator[Finding]:
    """Yield what differs, but for what differs as much between the other partitions, such as numbers that go on."""
    found = [
        one
        for one in _compared(merged(others), new, limits)
        if not (one.metric in _MOVES and _goes_on(new.columns[one.column]))
    ]
    if not found or len(others) < _ENOUGH:
        yield from found
        return
    usual: list[dict[tuple[str, str], float]] = []
    for at, each in enumerate(others):
        rest = merged([*others[:at], *others[at + 1 :]])
        usual.append({(one.metric, one.column): one.value for one in _compared(rest, each, limits)})
    for one in found:
        if one.value > _MORE * median(each.get((one.metric, one.column), 0) for each in usual):
            yield one


def _goes_on(column: ColumnProfile) -> bool:
    return column.is_time or ("int" in column.type and column.distinct > NEARLY_ALL * column.count)


def _compared(before: Profile, new: Profile, limits: Thresholds) -> list[Finding]:
    found = drift(before, new, replace(limits, outside=inf, distinct=inf))
    return [one for one in found if one.metric not in ("rows", "stale")]


def _of_columns(others: Sequence[Profile], new: Profile, limits: Thresholds) -> Iterator[Finding]:
    for name, column in new.columns.items():
        before = [one.columns[name] for one in others if name in one.columns and one.columns[name].count]
        if before and column.count and all(one.type == column.type for one in before):
            yield from _span(before, column, limits)
            yield from _repeated(before, column, limits)


def _span(before: Sequence[ColumnProfile], new: ColumnProfile, limits: Thresholds) -> Iterator[Finding]:
    spans = [_length(one) for one in before]
    longest, now = max((one for one in spans if one is not None), default=None), _length(new)
    if longest is None or now is None:
        return
    far = (now - longest) / max(longest, 1)
    allowed = max(limits.outside, 1 / max(longest, 1) if new.years else 0)
    if far > allowed:
        first, last = new.years or (new.min, new.max)
        text = f"{new.name} has values from {first} to {last}, a longer time than other partitions cover"
        yield Finding("range", new.name, far, allowed, text)


def _length(column: ColumnProfile) -> float | None:
    if column.years:
        return column.years[1] - column.years[0]
    if not column.is_time or not column.is_ordered:
        return None
    low, high = column.stored_quantiles([0, 1])
    return high - low


def _repeated(before: Sequence[ColumnProfile], new: ColumnProfile, limits: Thresholds) -> Iterator[Finding]:
    usual = min(one.distinct / one.count for one in before)
    if usual > NEARLY_ALL and new.distinct and usual * new.count / new.distinct > limits.distinct:
        text = f"{new.distinct:,} of {new.count:,} values of {new.name} are distinct; nearly all were"
        yield Finding("distinct", new.name, usual * new.count / new.distinct, limits.distinct, text)
