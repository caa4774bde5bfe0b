"""What the page of a profile in Dagster's UI shows: a table and pictures as Markdown, and numbers that the UI plots.

Names and values are data, so they are escaped. Of personal columns there are only counts.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dagster import MetadataValue

from lake_assets.quality import plots
from lake_assets.quality.asked import crosstab, group_counts
from lake_assets.quality.column_profile import EXACT, ColumnProfile
from lake_assets.quality.plots import short
from lake_assets.quality.profile import Profile
from lake_assets.text.markdown import as_markdown

if TYPE_CHECKING:
    import pandas
    import pyarrow

_PICTURE_BYTES = 150_000
"""The largest PNG. As base64 it has a third more."""
_COLUMNS, _TRENDS, _GROUPS, _CROSSED = 60, 12, 20, 12


@dataclass(frozen=True, slots=True)
class Asked:
    """What is shown besides the profile. It takes a pass of its own.

    Parameters
    ----------
    groups
        Columns whose groups are counted, each a list of names.
    crosstabs
        Pairs of columns.
    """

    groups: Sequence[Sequence[str]] = ()
    crosstabs: Sequence[tuple[str, str]] = ()

    @property
    def columns(self) -> Collection[str]:
        """The columns that are read."""
        return dict.fromkeys([*(name for group in self.groups for name in group), *sum(self.crosstabs, ())])


def profile_page(profile: Profile, rows: pyarrow.Table | None = None, asked: Asked | None = None) -> dict[str, Any]:
    """Return the metadata of a materialization that shows a profile.

    Parameters
    ----------
    profile
        The profile.
    rows
        The rows, if something is asked for.
    asked
        What is shown besides.
    """
    found: dict[str, Any] = {"rows": profile.rows, "columns": len(profile.columns), "bytes": profile.bytes}
    found["summary"] = MetadataValue.md(_table(_HEAD, map(_line, list(profile.columns.values())[:_COLUMNS])))
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
    hidden = {column.name for column in profile.columns.values() if column.personal}
    if rows is not None and asked is not None:
        found |= _asked(rows, asked, hidden)
    return {**found, **_trends(profile)}


_HEAD = ("column", "type", "values", "nulls", "empty", "distinct", "min", "median", "max", "mean", "std", "top")


def _line(column: ColumnProfile) -> Sequence[str]:
    inexact = "" if column.exactness("distinct") == EXACT else "~"
    figures = (column.min, column.median, column.max, column.mean, column.std)
    top = column.top(1)
    return [
        column.name + (" (personal)" if column.personal else ""),
        column.type + (f", {column.semantic_type}" if column.semantic_type else ""),
        f"{column.count:,}",
        f"{column.nulls:,}",
        "" if column.empty is None else f"{column.empty:,}",
        f"{inexact}{column.distinct:,}",
        *("" if value is None else short(value) for value in figures),
        f"{short(top[0][0])} ({top[0][1]:,})" if top and top[0][1] > 1 else "",
    ]


def _table(head: Sequence[str], lines: Iterator[Sequence[str]] | Sequence[Sequence[str]]) -> str:
    # A line break would end the row; `as_markdown` escapes it.
    rows = [list(map(as_markdown, line)) for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in [list(head), ["---"] * len(head), *rows])


def _asked(rows: pyarrow.Table, asked: Asked, hidden: set[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for names in asked.groups:
        if not hidden.intersection(names):
            counted = group_counts(rows, names, _GROUPS)
            found[f"rows by {', '.join(names)}"] = MetadataValue.md(_frame(counted))
    for down, across in asked.crosstabs:
        if not hidden.intersection((down, across)):
            table = crosstab(rows, down, across)
            table = table.loc[table.sum(axis=1).nlargest(_CROSSED).index, table.sum().nlargest(_CROSSED).index]
            found[f"{down} by {across}"] = MetadataValue.md(_frame(table.reset_index()))
    return found


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
