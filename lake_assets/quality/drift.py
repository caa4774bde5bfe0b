"""Drift between two profiles: what differs more than chance explains. One default setting serves all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from lake_assets.quality.chance import chance, most_by_chance
from lake_assets.quality.column_drift import column_drift
from lake_assets.quality.column_profile import ColumnProfile
from lake_assets.quality.profile import Profile
from lake_assets.quality.thresholds import Finding, Thresholds


def drift(before: Profile, after: Profile, thresholds: Thresholds | None = None) -> list[Finding]:
    """Return what differs between two profiles.

    Parameters
    ----------
    before
        The profile to compare with.
    after
        The profile of the new rows.
    thresholds
        How much may differ.
    """
    return list(_findings(before, after, thresholds or Thresholds()))


def is_same(before: Profile, after: Profile) -> bool:
    """Tell whether two profiles seem to be of the same rows.

    Parameters
    ----------
    before, after
        The profiles.
    """
    return bool(before.rows) and _figures(before) == _figures(after)


def _findings(before: Profile, after: Profile, limits: Thresholds) -> Iterator[Finding]:
    yield from _schema(before.columns, after.columns)
    if before.rows and after.rows:
        ratio = max(after.rows / before.rows, before.rows / after.rows)
        if ratio > limits.rows:
            yield Finding("rows", "", ratio, limits.rows, f"{before.rows:,} rows became {after.rows:,}")
    elif before.rows != after.rows:
        yield Finding("rows", "", math.inf, limits.rows, f"{before.rows:,} rows became {after.rows:,}")
        return
    if is_same(before, after):
        yield Finding("stale", "", 1, 0, "the rows seem to be the same as before")
    pairs = [
        (before.columns[name], new)
        for name, new in after.columns.items()
        if name in before.columns and before.columns[name].type == new.type and new.rows
    ]
    for what in _SHARES:
        yield from _share(what, pairs, limits)
    for old, new in pairs:
        yield from column_drift(old, new, limits)
    yield from _order(before, after, limits)


def _figures(profile: Profile) -> list[tuple[object, ...]]:
    columns = profile.columns.values()
    # Rows that come again with new times are not new, if their measures are the same.
    if any(one.type in ("double", "float") and one.distinct >= _MEASURES for one in columns):
        columns = [one for one in columns if not one.is_time and not one.years]
    return [
        # NaN, such as the sum of both infinities, equals nothing.
        (one.name, one.type, one.rows, one.nulls, one.distinct, one.min, one.max, str(one.sum), one.mean_length)
        for one in columns
    ]


def _schema(before: Mapping[str, ColumnProfile], after: Mapping[str, ColumnProfile]) -> Iterator[Finding]:
    for name in before:
        if name not in after:
            yield Finding(SCHEMA, name, 1, 0, f"column {name} is gone")
        elif before[name].type != after[name].type:
            yield Finding(SCHEMA, name, 1, 0, f"column {name} was {before[name].type} and is {after[name].type}")
    for name in after:
        if name not in before:
            yield Finding(SCHEMA, name, 1, 0, f"column {name} is new")


SCHEMA = "schema"
"""The metric of columns that are gone, new, or of another type."""
_MEASURES = 50
_SHARES = ("nulls", "nans", "empty", "blank", "garbled")


def _share(what: str, pairs: Sequence[tuple[ColumnProfile, ColumnProfile]], limits: Thresholds) -> Iterator[Finding]:
    """Compare what share of the rows is null, say. The columns that have any share the level."""
    found = [(new, getattr(old, what), old.rows, getattr(new, what)) for old, new in pairs]
    some = [one for one in found if one[1] or one[3]]
    level = (limits.garbled if what == "garbled" else limits.level) / max(1, len(some))
    for new, before, rows, after in some:
        a, b = before / rows, after / new.rows
        always = a if what == "garbled" else limits.nulls
        if b < a:  # That nulls go away is seldom a fault.
            allowed = always + chance(a, b, rows, new.rows, limits.confidence)
        else:
            by_chance = most_by_chance(level, new.rows, before, rows) if b - a > always else 0
            allowed = max(always, by_chance / new.rows - a)
        if abs(b - a) > allowed:
            text = f"{what} of {new.name} went from {a:.1%} to {b:.1%}"
            yield Finding(what, new.name, abs(b - a), allowed, text)


def _order(before: Profile, after: Profile, limits: Thresholds) -> Iterator[Finding]:
    """Compare which of two columns of numbers is greater: of columns that are much alike, nothing else tells."""
    names, old, old_rows = before.paired()
    others, new, new_rows = after.paired()
    if names != others:
        return
    clear = [
        np.abs(one) > np.maximum(limits.paired, limits.confidence / np.sqrt(np.maximum(rows, 1)))
        for one, rows in ((old, old_rows), (new, new_rows))
    ]
    for at, to in np.argwhere(np.triu(clear[0] & clear[1] & (old * new < 0))).tolist():
        was, now = ("above", "below") if old[at, to] > 0 else ("below", "above")
        text = f"{names[at]} was mostly {was} {names[to]}, and is {now} it"
        yield Finding("order", names[at], abs(float(new[at, to])), limits.paired, text)
