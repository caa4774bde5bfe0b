"""Anomalies: figures outside of what the history of published profiles explains, by medians and their deviations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any, Literal

from lake_assets.quality.thresholds import Finding

_NORMAL = 1.4826
"""A standard deviation, in units of the median of the absolute deviations (MAD) of normal values."""


@dataclass(frozen=True, slots=True)
class AnomalyBounds:
    """When a figure is an anomaly: it must leave both bounds.

    A figure that grows steadily leaves the bound of its level, but not that of its change. Both bounds are robust: few
    former anomalies do not widen them.

    Parameters
    ----------
    least
        The number of published profiles below which nothing is judged.
    deviations
        How many robust deviations a figure may be away from its median, and its change from the median change.
    share
        The share of the median, and for shares of rows the share, that a figure may always be away from it.
    sides
        ``both``, or ``low`` or ``high`` if only that is an anomaly.
    """

    least: int = 5
    deviations: float = 6.0
    share: float = 0.1
    sides: Literal["both", "low", "high"] = "both"

    def __post_init__(self) -> None:
        """Refuse a mistyped side, which would be taken for both."""
        if self.sides not in ("both", "low", "high"):
            raise ValueError(f"sides is {self.sides!r}, not both, low or high")


def anomalies(
    figures: Mapping[str, Any], history: Sequence[Mapping[str, Any]], bounds: AnomalyBounds | None = None
) -> list[Finding]:
    """Return the figures that are outside of what a history explains.

    Parameters
    ----------
    figures
        The figures of a profile, as :meth:`.Profile.as_dict` returns them.
    history
        The figures of former profiles, newest first.
    bounds
        What is an anomaly.
    """
    limits = bounds or AnomalyBounds()
    former = [_measures(one) for one in reversed(history)]
    found: list[Finding] = []
    for (metric, column), value in _measures(figures).items():
        series = [one[metric, column] for one in former if (metric, column) in one]
        if len(series) < limits.least:
            continue
        finding = _judged(metric, column, value, series, limits)
        if finding is not None:
            found.append(finding)
    return found


def _measures(figures: Mapping[str, Any]) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {("rows", ""): float(figures["rows"])}
    for column in figures["columns"]:
        for metric, value in _of_column(column):
            found[metric, column["name"]] = float(value)
    return found


def _of_column(column: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    rows, count = column["rows"], column["count"]
    if not rows:
        return
    yield "completeness", column.get("completeness", 0.0)
    for name in ("empty", "garbled", "infinities"):
        if name in column:
            yield name, column[name] / rows
    if not count:
        return
    yield "uniqueness", column["distinct"] / count
    for name in ("mean", "std", "mean_length"):
        if isinstance(column.get(name), int | float):
            yield name, column[name]


_SHARES = frozenset({"completeness", "empty", "garbled", "infinities", "uniqueness"})


def _judged(metric: str, column: str, value: float, series: Sequence[float], limits: AnomalyBounds) -> Finding | None:
    middle, width = _robust(series)
    change, width_of_change = _robust([after - before for before, after in pairwise(series)])
    always = limits.share if metric in _SHARES else limits.share * abs(middle)
    allowed = max(limits.deviations * width, always)
    away, moved = value - middle, value - series[-1] - change
    if (limits.sides == "low" and away > 0) or (limits.sides == "high" and away < 0):
        return None
    if abs(away) <= allowed or abs(moved) <= max(limits.deviations * width_of_change, always):
        return None
    name = f"{metric} of {column}" if column else metric
    text = (
        f"{name} is {value:,.6g}; the median of {len(series)} published is {middle:,.6g}, and {allowed:,.3g} more or "
        "less is usual"
    )
    return Finding(metric, column, abs(away), allowed, text)


def _robust(values: Sequence[float]) -> tuple[float, float]:
    """Return the median, and a robust standard deviation."""
    middle = median(values)
    return middle, _NORMAL * median(abs(value - middle) for value in values)
