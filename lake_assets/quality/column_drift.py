"""Drift of one column: its distinct values, shapes of texts, distribution, and bounds of times."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from lake_assets.quality.chance import chance
from lake_assets.quality.column_profile import EXACT, ColumnProfile
from lake_assets.quality.quantiles import RANK_ERROR
from lake_assets.quality.thresholds import Finding, Thresholds

BINS = 10
NEARLY_ALL = 0.9
"""The share of distinct values of a column that is meant to have each once."""


def column_drift(old: ColumnProfile, new: ColumnProfile, limits: Thresholds) -> Iterator[Finding]:
    """Yield how the values of a column differ.

    Parameters
    ----------
    old, new
        The column before, and now. Both have rows.
    limits
        How much may differ.
    """
    if not old.count or not new.count or new.personal or old.personal:
        return
    yield from _distinct(old, new, limits)
    yield from _shapes(old, new, limits)
    yield from _outside(old, new, limits)
    if new.is_ordered and old.is_ordered:
        yield from _distribution(old, new, limits)
    elif new.exactness("top") == EXACT and old.exactness("top") == EXACT:
        yield from _categories(old, new, limits)


def _distinct(old: ColumnProfile, new: ColumnProfile, limits: Thresholds) -> Iterator[Finding]:
    a, b = old.distinct, new.distinct
    alike = max(old.count, new.count) < limits.rows * min(old.count, new.count)
    nearly_all = a > NEARLY_ALL * old.count
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
        # Of shapes that are many, such as those of UUIDs, some are new each time (Good and Turing).
        usual = sum(count == 1 for _, count in old.patterns(1 << 20)) / old.count
        allowed = limits.pattern + usual + chance(usual, share, old.count, new.count, limits.confidence)
        if share > allowed:
            text = f"{share:.1%} of the texts of {new.name} have a shape that was not there"
            yield Finding("pattern", new.name, share, allowed, text)
            return
    for shape in before.keys() | after.keys():
        a, b = before.get(shape, 0) / old.count, after.get(shape, 0) / new.count
        allowed = limits.ks + chance(a, b, old.count, new.count, limits.confidence)
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
    """Compare the bounds of times. Rare large values are no drift of numbers; times have no such tails."""
    if new.years and old.years:
        (low, high), (least, greatest) = old.years, new.years
        shown, was = new.years, old.years
    elif new.is_time and new.is_ordered and old.is_ordered:
        (low, high), (least, greatest) = old.stored_quantiles([0, 1]), new.stored_quantiles([0, 1])
        shown, was = (new.min, new.max), (old.min, old.max)
    else:
        return
    span = max(high - low, 1)
    far = max(low - least, greatest - high) / span
    allowed = max(limits.outside, 1 / span if new.years else 0)  # The next year may begin.
    if far > allowed:
        text = f"{new.name} has values from {shown[0]} to {shown[1]}; they were from {was[0]} to {was[1]}"
        yield Finding("range", new.name, far, allowed, text)


def _categories(old: ColumnProfile, new: ColumnProfile, limits: Thresholds) -> Iterator[Finding]:
    before, after = dict(old.top(1 << 20)), dict(new.top(1 << 20))
    values = sorted(before.keys() | after.keys(), key=lambda value: (-before.get(value, 0), str(value)))
    kept, rest = values[: 3 * BINS], values[3 * BINS :]
    a, b = (
        np.array([*(counts.get(value, 0) for value in kept), sum(counts.get(value, 0) for value in rest)], float)
        for counts in (before, after)
    )
    yield from _psi(a / old.count, b / new.count, old, new, limits)
