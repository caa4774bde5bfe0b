"""What ``describe()`` of pandas returns, from the figures of columns."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from lake_assets.quality.column_profile import QUARTILES, ColumnProfile

if TYPE_CHECKING:
    import pandas

_TEXTS = ["count", "unique", "top", "freq"]
_NUMBERS = ["count", "mean", "std", "min", "25%", "50%", "75%", "max"]
_TIMES = ["count", "mean", "min", "25%", "50%", "75%", "max"]


def described(columns: Collection[ColumnProfile]) -> pandas.DataFrame:
    """Return what pandas prints of columns: of numbers and times if there are any, otherwise of texts.

    Parameters
    ----------
    columns
        The columns. Of personal ones there are no such figures.
    """
    import pandas as pd

    pandas: Any = pd  # its stubs refuse lists of texts
    ordered = [one for one in columns if _is_ordered(one)]
    if not ordered:
        texts = {one.name: [one.count, one.distinct, *(one.top(1) or [(None, None)])[0]] for one in columns}
        return pandas.DataFrame(texts, _TEXTS, dtype=object)
    points = [one.name for one in ordered if _is_point(one)]
    # Where some columns have no deviation, pandas has it last.
    index = _NUMBERS if not points else _TIMES if len(points) == len(ordered) else [*_TIMES, "std"]
    found = {
        one.name: pandas.Series(_figures(one), _NUMBERS, "float64" if one.is_numeric else object) for one in ordered
    }
    return pandas.DataFrame(found, index)


def _is_ordered(column: ColumnProfile) -> bool:
    if column.personal or column.type == "bool":
        return False
    return column.is_numeric or _is_point(column) or column.type.startswith("duration")


def _is_point(column: ColumnProfile) -> bool:
    """Tell whether a column has points in time. A time of a day is none for pandas."""
    return column.type.startswith(("timestamp", "date"))


def _figures(column: ColumnProfile) -> list[Any]:
    import pandas as pd

    std = float("nan") if _is_point(column) else column.std
    figures = [column.mean, std, column.min, *column.quantiles(QUARTILES), column.max]
    if not column.is_numeric:
        shown = pd.Timedelta if column.type.startswith("duration") else lambda value: value
        figures = [pd.NaT if value is None else value if value != value else shown(value) for value in figures]
    return [column.count, *figures]
