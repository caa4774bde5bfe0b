"""Drift between two profiles: what differs more than chance explains. One default setting serves all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from lake_assets.quality.column_profile import EXACT, ColumnProfile
from lake_assets.quality.profile import Profile
from lake_assets.quality.quantiles import RANK_ERROR

BINS = 10


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How much may differ. To each is added what chance explains for the numbers of rows.

    Parameters
    ----------
    psi
        The population stability index.
    ks
        The distance of Kolmogorov and Smirnov.
    nulls
        The change of the share of nulls, of empty texts and of NaN.
    distinct
        The ratio of the shares of distinct values among all, where the numbers of rows are alike or nearly all are
        distinct. It is above that of rows that are drawn again from the same ones.
    pattern
        The change of the share of a shape of texts.
    outside
        How far values may lie outside of the former bounds, in units of the former span.
    rows
        The ratio of the numbers of rows. A batch that is there twice has twice the rows.
    confidence
        How many standard deviations of chance are allowed.
    """

    psi: float = 0.1
    ks: float = 0.05
    nulls: float = 0.01
    distinct: float = 1.8
    pattern: float = 0.02
    outside: float = 0.75
    rows: float = 1.8
    confidence: float = 4.0


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that drifted.

    Parameters
    ----------
    metric
        What differs, such as ``psi`` or ``nulls``.
    column
        The column; empty for the frame as a whole.
    value, allowed
        By how much it differs, and by how much it may.
    description
        The same in words.
    """

    metric: str
    column: str
    value: float
    allowed: float
    description: str


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
    for name, new in after.columns.items():
        old = before.columns.get(name)
        if old is not None and old.type == new.type and old.rows and new.rows:
            yield from _column(old, new, limits)


def _figures(profile: Profile) -> list[tuple[object, ...]]:
    return [
        (one.name, one.type, one.rows, one.nulls, one.distinct, one.min, one.max, one.sum, one.mean_length)
        for one in profile.columns.values()
    ]


def _schema(before: Mapping[str, ColumnProfile], after: Mapping[str, ColumnProfile]) -> Iterator[Finding]:
    for name in before:
        if name not in after:
            yield Finding("schema", name, 1, 0, f"column {name} is gone")
        elif before[name].type != after[name].type:
            yield Finding("schema", name, 1, 0, f"column {name} was {before[name].type} and is {after[name].type}")
    for name in after:
        if name not in before:
            yield Finding("schema", name, 1, 0, f"column {name} is new")


def _column(old: ColumnProfile, new: ColumnProfile, limits: Thresholds) -> Iterator[Finding]:
    name = new.name
    for what in ("nulls", "nans", "empty", "blank", "garbled"):
        a, b = getattr(old, what), getattr(new, what)
        if a is None or b is None:
            continue
        a, b = a / old.rows, b / new.rows
        allowed = limits.nulls + _chance(a, b, old.rows, new.rows, limits)
        if abs(b - a) > allowed:
            yield Finding(what, name, abs(b - a), allowed, f"{what} of {name} went from {a:.1%} to {b:.1%}")
    if not old.count or not new.count or new.personal or old.personal:
        return
    yield from _distinct(old, new, limits)
    yield from _shapes(old, new, limits)
    if new.is_ordered and old.is_ordered:
        yield from _distribution(old, new, limits)
    elif new.exactness("top") == EXACT and old.exactness("top") == EXACT:
        yield from _categories(old, new, limits)


def _chance(a: float, b: float, rows: int, others: int, limits: Thresholds) -> float:
    """Return how far two shares may differ by chance."""
    share = min(max((a * rows + b * others) / (rows + others), 1 / (rows + others)), 0.5)
    return limits.confidence * math.sqrt(share * (1 - share) * (1 / rows + 1 / others))


def _distinct(old: ColumnProfile, new: ColumnProfile, limits: Thresholds) -> Iterator[Finding]:
    a, b = old.distinct, new.distinct
    alike = max(old.count, new.count) < limits.rows * min(old.count, new.count)
    nearly_all = a > 0.9 * old.count
    if not (alike or nearly_all) or max(a, b) < 2:
        return
    shares = a / old.count, b / new.count
    ratio = max(shares) / min(shares)
    allowed = limits.distinct + limits.confidence / math.sqrt(max(1, min(a, b)))
    if ratio > allowed:
        yield Finding("distinct", new.name, ratio, allowed, f"{a:,} distinct values of {new.name} became {b:,}")


def _shapes(old: ColumnProfile, new: ColumnProfile, limits: Thresholds) -> Iterator[Finding]:
    before, after = dict(old.patterns(64)), dict(new.patterns(64))
    foreign = sum(old.foreign(new)) if before else 0
    if foreign:
        share = foreign / new.count
        allowed = limits.pattern + _chance(0, share, old.count, new.count, limits)
        if share > allowed:
            text = f"{share:.1%} of the texts of {new.name} have a shape that was not there"
            yield Finding("pattern", new.name, share, allowed, text)
            return
    for shape in before.keys() | after.keys():
        a, b = before.get(shape, 0) / old.count, after.get(shape, 0) / new.count
        allowed = limits.ks + _chance(a, b, old.count, new.count, limits)
        if abs(a - b) > allowed:
            text = f"texts like {shape!r} went from {a:.1%} to {b:.1%} of {new.name}"
            yield Finding("pattern", new.name, abs(a - b), allowed, text)
            return


def _distribution(old: ColumnProfile, new: ColumnProfile, limits: Thresholds) -> Iterator[Finding]:
    """Compare the shares of both columns below the former quantiles."""
    points = sorted(set(old.stored_quantiles(np.linspace(0, 1, 41)[1:-1].tolist())))
    error = sum(RANK_ERROR for one in (old, new) if one.exactness("quantiles") != EXACT)
    chance = limits.confidence / 2.25 * math.sqrt(1 / old.count + 1 / new.count)
    if points:
        a, b = np.array(old.cdf(points)), np.array(new.cdf(points))
        ks = float(np.abs(a - b).max())
        allowed = limits.ks + chance + error
        if ks > allowed:
            yield Finding("ks", new.name, ks, allowed, f"the distribution of {new.name} moved by {ks:.1%}")
    edges = sorted(set(old.stored_quantiles(np.linspace(0, 1, BINS + 1)[1:-1].tolist())))
    if edges:
        a, b = (np.diff([0, *one.cdf(edges), 1]) for one in (old, new))
        yield from _psi(a, b, old, new, limits)
    yield from _outside(old, new, limits)


def _psi(a: np.ndarray, b: np.ndarray, old: ColumnProfile, new: ColumnProfile, limits: Thresholds) -> Iterator[Finding]:
    # A share of nothing counts as half a row.
    a, b = np.maximum(a, 0.5 / old.count), np.maximum(b, 0.5 / new.count)
    psi = float(((b - a) * np.log(b / a)).sum())
    # Of like columns, PSI is distributed as chi squared of the bins by the harmonic number of rows.
    bins, scale = len(a), 1 / old.count + 1 / new.count
    allowed = limits.psi + scale * (bins + limits.confidence * math.sqrt(2 * bins))
    if psi > allowed:
        yield Finding("psi", new.name, psi, allowed, f"the population stability index of {new.name} is {psi:.2f}")


def _outside(old: ColumnProfile, new: ColumnProfile, limits: Thresholds) -> Iterator[Finding]:
    low, high = old.stored_quantiles([0, 1])
    least, greatest = new.stored_quantiles([0, 1])
    # Rare large values are no drift of numbers; times have no such tails.
    if not new.is_time or not all(map(math.isfinite, (low, high, least, greatest))):
        return
    span = max(high - low, 1)
    far = max(low - least, greatest - high) / span
    if far > limits.outside:
        text = f"{new.name} has values from {new.min} to {new.max}; they were from {old.min} to {old.max}"
        yield Finding("range", new.name, far, limits.outside, text)


def _categories(old: ColumnProfile, new: ColumnProfile, limits: Thresholds) -> Iterator[Finding]:
    before, after = dict(old.top(1 << 20)), dict(new.top(1 << 20))
    values = sorted(before.keys() | after.keys(), key=lambda value: (-before.get(value, 0), str(value)))
    kept, rest = values[: 3 * BINS], values[3 * BINS :]
    a, b = (
        np.array([*(counts.get(value, 0) for value in kept), sum(counts.get(value, 0) for value in rest)], float)
        for counts in (before, after)
    )
    yield from _psi(a / old.count, b / new.count, old, new, limits)
