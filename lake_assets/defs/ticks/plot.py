"""A plot for each day of series: the price of the securities with the most samples, for Dagster's UI."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from dagster import MetadataValue

_WIDTH, _HEIGHT, _DAY = 640, 160, 86_400
_LINES, _DAYS, _POINTS = 5, 7, 300
_COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd")


def plots(days: Mapping[str, Any]) -> dict[str, Any]:
    """Return a picture for each of the newest days that changed.

    Parameters
    ----------
    days
        Day to its samples; None for a day without.
    """
    newest = sorted((day for day, samples in days.items() if samples is not None), reverse=True)[:_DAYS]
    return {f"plot {day}": MetadataValue.md(f"![{day}]({_address(svg(days[day]))})") for day in newest}


def svg(samples: pa.Table) -> str:
    """Return a picture of the prices of a day: each line is relative to its own first price.

    Parameters
    ----------
    samples
        The samples, sorted by labels and time.
    """
    lines: dict[str, list[tuple[float, float]]] = {}
    columns = (samples.column(name).to_pylist() for name in ("isin", "currency", "time", "price"))
    for isin, currency, time, price in zip(*columns, strict=True):
        if price is not None:
            seconds = time.hour * 3600 + time.minute * 60 + time.second
            lines.setdefault(f"{isin} {currency}", []).append((seconds, price))
    most = sorted(lines.items(), key=lambda item: (-len(item[1]), item[0]))[:_LINES]
    drawn = {name: [(at, price / found[0][1] - 1) for at, price in _thinned(found)] for name, found in most}
    changes = [change for line in drawn.values() for _, change in line] or [0.0]
    low, high = min(changes), max(changes)
    span = (high - low) or 1.0
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT + 16 * (len(drawn) + 1)}">']
    for number, (name, line) in enumerate(drawn.items()):
        points = " ".join(
            f"{at / _DAY * _WIDTH:.1f},{_HEIGHT - (change - low) / span * (_HEIGHT - 10) - 5:.1f}"
            for at, change in line
        )
        colour = _COLOURS[number]
        below = _HEIGHT + 14 * (number + 1)
        parts.append(f'<polyline fill="none" stroke="{colour}" points="{points}"/>')
        told = f"{name}: {line[-1][1]:+.2%}, {len(lines[name])} samples"
        parts.append(f'<text x="4" y="{below}" font-size="12" fill="{colour}">{told}</text>')
    return "".join([*parts, "</svg>"])


def _thinned(line: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    step = max(1, len(line) // _POINTS)
    return [*line[::step], line[-1]]


def _address(picture: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(picture.encode()).decode()}"
