"""What the page of a profile in Dagster's UI shows: a table and pictures as Markdown, and numbers that the UI plots.

Names and values are data, so they are escaped. Of personal columns there are only counts.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dagster import MetadataValue

from lake_assets.quality import plots
from lake_assets.quality.column_profile import EXACT, QUARTILES, ColumnProfile
from lake_assets.quality.plots import short
from lake_assets.quality.profile import Profile
from lake_assets.quality.questions import Answer
from lake_assets.text.markdown import as_markdown

if TYPE_CHECKING:
    import pandas

_PICTURE_BYTES = 150_000
"""The largest PNG. As base64 it has a third more."""
_COLUMNS, _TRENDS, _PARTS = 60, 12, 20


def profile_page(profile: Profile, answers: Sequence[Answer] = ()) -> dict[str, Any]:
    """Return the metadata of a materialization that shows a profile.

    Parameters
    ----------
    profile
        The profile.
    answers
        What was asked for besides.
    """
    found: dict[str, Any] = {"rows": profile.rows, "columns": len(profile.columns), "bytes": profile.bytes}
    found["summary"] = MetadataValue.md(_summary(profile))
    pictures = {
        "histograms": plots.histograms(profile),
        "box_plots": plots.box_plots(profile),
        "correlation": plots.heat_map(profile),
        "missingness": plots.missingness(profile),
    }
    for name, png in pictures.items():
        if png is not None and len(png) <= _PICTURE_BYTES:
            encoded = base64.b64encode(png).decode()
            found[name] = MetadataValue.md(f"![{name.replace('_', ' ')}](data:image/png;base64,{encoded})")
    answered = {one.title: _answered(one) for one in answers}
    return {**found, **answered, **_parts(profile), **_trends(profile)}


_HEAD = ("column", "type", "values", "nulls", "empty", "distinct", "top", "shape")
_FIGURES = ("column", "min", "25 %", "median", "75 %", "max", "mean", "std")


def _summary(profile: Profile) -> str:
    """Return two tables, since one would be wider than the dialog that shows it."""
    columns = list(profile.columns.values())[:_COLUMNS]
    tables = [_table(_HEAD, map(_line, columns)), _table(_FIGURES, map(_figures, columns))]
    return "\n\n".join(tables)


def _line(column: ColumnProfile) -> Sequence[str]:
    inexact = "" if column.exactness("distinct") == EXACT else "~"
    top, shapes = column.top(1), column.patterns(1)
    return [
        column.name + (" (personal)" if column.personal else ""),
        column.type + (f", {column.semantic_type}" if column.semantic_type else ""),
        f"{column.count:,}",
        f"{column.nulls:,}",
        "" if column.empty is None else f"{column.empty:,}",
        f"{inexact}{column.distinct:,}",
        f"{short(top[0][0])} ({top[0][1]:,})" if top and top[0][1] > 1 else "",
        f"{short(shapes[0][0])} ({shapes[0][1]:,})" if shapes else "",
    ]


def _figures(column: ColumnProfile) -> Sequence[str]:
    figures = (column.min, *column.quantiles(QUARTILES), column.max, column.mean, column.std)
    return [column.name, *("" if value is None else short(value) for value in figures)]


def _table(head: Sequence[str], lines: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> str:
    # A line break would end the row; `as_markdown` escapes it.
    rows = [list(map(as_markdown, line)) for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in [list(head), ["---"] * len(head), *rows])


def _answered(answer: Answer) -> MetadataValue:
    table = _frame(answer.rows) if len(answer.rows) else ""
    return MetadataValue.md("\n\n".join(part for part in (as_markdown(answer.note), table) if part))


def _parts(profile: Profile) -> dict[str, Any]:
    """Return the numbers of rows of partitions, if there are several, and how unequal they are."""
    if len(profile.parts) < 2:
        return {}
    largest = sorted(profile.parts.items(), key=lambda one: -one[1])[:_PARTS]
    table = _table(("partition", "rows"), [(name, f"{rows:,}") for name, rows in largest])
    skew = {} if profile.skew is None else {"skew of partitions": profile.skew}
    return {"rows of partitions": MetadataValue.md(table), **skew}


def _frame(frame: pandas.DataFrame) -> str:
    lines = [[short(value) for value in line] for line in frame.itertuples(index=False, name=None)]
    return _table([as_markdown(str(name)) for name in frame.columns], lines)


def _trends(profile: Profile) -> Mapping[str, float]:
    """Return numbers of the whole and of the first columns. The UI plots each over the materializations."""
    columns = list(profile.columns.values())
    cells = sum(column.rows for column in columns)
    found: dict[str, float] = {"completeness": sum(column.count for column in columns) / cells} if cells else {}
    for column in columns[:_TRENDS]:
        if column.count < column.rows:
            found[f"completeness of {column.name}"] = column.completeness or 0.0
        mean = column.mean if column.is_numeric else None
        if mean is not None and abs(mean) < float("inf"):
            found[f"mean of {column.name}"] = float(mean)
    return found
