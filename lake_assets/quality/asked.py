"""What is asked for by name, since it takes a pass of its own: group counts, crosstabs, ranks, repeated keys, skew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lake_assets.lake.rows import sql_name
from lake_assets.quality.querying import as_table, opened

if TYPE_CHECKING:
    import pandas
    import pyarrow


def group_counts(data: Any, columns: Sequence[str], most: int | None = None) -> pandas.DataFrame:
    """Return the number of rows of each group, the largest first, in the last column.

    Parameters
    ----------
    data
        A frame of any library.
    columns
        The columns that a group shares; nulls are a group.
    most
        The largest number of groups.
    """
    table = _selected(data, columns)
    names = ", ".join(map(sql_name, columns))
    limit = "" if most is None else f" LIMIT {int(most)}"
    rows = sql_name(_free("rows", columns))
    with opened(table) as connection:
        text = f"SELECT {names}, count(*) AS {rows} FROM frame GROUP BY ALL ORDER BY {rows} DESC, {names}{limit}"  # noqa: S608
        return connection.sql(text).df(date_as_object=True)


def crosstab(data: Any, rows: str, columns: str) -> pandas.DataFrame:
    """Return the number of rows of each pair of values, as ``pandas.crosstab`` does. Nulls are left out.

    Parameters
    ----------
    data
        A frame of any library.
    rows, columns
        The two columns.
    """
    counted = group_counts(data, [rows, columns]).dropna()
    wide = counted.pivot_table(counted.columns[-1], rows, columns, aggfunc="sum", fill_value=0)
    return wide.astype("int64").sort_index(axis=0).sort_index(axis=1)


def spearman(data: Any, columns: Sequence[str] | None = None) -> pandas.DataFrame:
    """Return Spearman's coefficients of columns of numbers, as pandas computes them. The ranks are those of all rows.

    Parameters
    ----------
    data
        A frame of any library.
    columns
        The columns; by default all columns of numbers.
    """
    from pyarrow import types

    table = as_table(data)
    numbers = [
        field.name
        for field in table.schema
        if types.is_integer(field.type) or types.is_floating(field.type) or types.is_decimal(field.type)
    ]
    chosen = list(columns) if columns is not None else numbers
    return _selected(table, chosen).to_pandas().astype("float64").corr("spearman")


@dataclass(frozen=True, slots=True)
class RepeatedKeys:
    """The keys that several rows have.

    Parameters
    ----------
    keys
        The number of distinct keys that are repeated.
    rows
        The number of rows that have one of them.
    examples
        Some of them, with their numbers of rows.
    """

    keys: int
    rows: int
    examples: Sequence[Mapping[str, Any]]


def repeated_keys(data: Any, columns: Sequence[str], examples: int = 5) -> RepeatedKeys:
    """Return the keys that several rows have, exactly. A key with a null is none.

    Parameters
    ----------
    data
        A frame of any library.
    columns
        The columns of the key.
    examples
        The number of examples.
    """
    table = _selected(data, columns)
    names = ", ".join(map(sql_name, columns))
    known = " AND ".join(f"{sql_name(name)} IS NOT NULL" for name in columns)
    count = sql_name(_free("rows", columns))
    repeated = f"SELECT {names}, count(*) AS {count} FROM frame WHERE {known} GROUP BY ALL HAVING count(*) > 1"  # noqa: S608
    with opened(table) as connection:
        keys, rows = connection.sql(f"SELECT count(*), coalesce(sum({count}), 0) FROM ({repeated})").fetchall()[0]  # noqa: S608
        some = connection.sql(f"{repeated} ORDER BY {count} DESC, {names} LIMIT {int(examples)}").to_arrow_table()
    return RepeatedKeys(int(keys), int(rows), some.to_pylist())


def key_skew(data: Any, columns: Sequence[str]) -> float | None:
    """Return the number of rows of the most frequent key, by the median of all keys; None if there are no rows.

    Parameters
    ----------
    data
        A frame of any library.
    columns
        The columns of the key.
    """
    counts = group_counts(data, columns).iloc[:, -1]
    return float(counts.max() / counts.median()) if len(counts) else None


def _free(name: str, taken: Sequence[str]) -> str:
    while name.casefold() in {other.casefold() for other in taken}:
        name += "_"
    return name


def _selected(data: Any, columns: Sequence[str]) -> pyarrow.Table:
    table = as_table(data)
    for name in columns:
        if name not in table.column_names:
            raise ValueError(f"there is no column {name!r}; there are {', '.join(table.column_names)}")
    return table.select(list(dict.fromkeys(columns)))
