"""The rows of an asset that differ between two refs, as a query on two views."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from lake_assets.lake.rows import Columns, aligned, sql_name
from lake_assets.sql.errors import SqlError

_ROW = "lake_assets_row"
"""Name of a row's other columns within the query. A key may be named as those of the result."""


def changed_rows(left: str, right: str, before: Columns, after: Columns, key: Sequence[str]) -> str:
    """Return the query for the rows that differ.

    Without a key, whole rows are compared: ``change`` (``added`` or ``removed``), ``rows`` (how many times), then the
    columns. With a key: ``change`` (``added``, ``removed`` or ``changed``), the key, then ``before`` and ``after``,
    which have the other columns. As for DuckDB, names of columns that differ in case only are the same.

    Parameters
    ----------
    left, right
        The views of the rows.
    before, after
        Their columns, by name to type.
    key
        Names of the key columns.

    Raises
    ------
    SqlError
        A key column is missing.
    """
    stored = {name: _as_written(name, after) for name in before}
    renamed = ", ".join(f"{sql_name(name)} AS {sql_name(now)}" for name, now in stored.items())
    left, before = f"(SELECT {renamed} FROM {left})", {stored[name]: kind for name, kind in before.items()}  # noqa: S608
    names = list(dict.fromkeys([*before, *after]))
    old, new = (f"SELECT {aligned(names, *side)}" for side in ((before, after), (after, before)))
    if not key:
        gone = f"{old} FROM {left} EXCEPT ALL {new} FROM {right}"
        come = f"{new} FROM {right} EXCEPT ALL {old} FROM {left}"
        counted = "AS change, count(*) AS rows, *"
        return (
            f"SELECT 'removed' {counted} FROM ({gone}) GROUP BY ALL UNION ALL "  # noqa: S608
            f"SELECT 'added' {counted} FROM ({come}) GROUP BY ALL"
        )
    key = list(dict.fromkeys(_as_written(name, names) for name in key))
    missing = [name for name in key if name not in before or name not in after]
    if missing:
        raise SqlError(f"the key column {missing[0]} is missing; there are {', '.join(names)}")
    others = [name for name in names if name not in key]
    fields = ", ".join(f"{sql_name(name)} := {sql_name(name)}" for name in others)
    row = f"struct_pack({fields})" if others else "true"
    keyed = ", ".join(_comparable(name, before[name], after[name]) for name in key)
    sides = [
        f"(SELECT {keyed}, {row} AS {_ROW} FROM ({side} FROM {view}))"  # noqa: S608
        for side, view in ((old, left), (new, right))
    ]
    keys = [sql_name(name) for name in key]
    joined = " AND ".join(f"l.{name} IS NOT DISTINCT FROM r.{name}" for name in keys)
    shown = ", ".join(f"CASE WHEN r.{_ROW} IS NULL THEN l.{name} ELSE r.{name} END AS {name}" for name in keys)
    return (
        f"SELECT CASE WHEN l.{_ROW} IS NULL THEN 'added' WHEN r.{_ROW} IS NULL THEN 'removed' ELSE 'changed' END "  # noqa: S608
        f"AS change, {shown}, l.{_ROW} AS before, r.{_ROW} AS after FROM {sides[0]} l FULL JOIN {sides[1]} r "
        f"ON {joined} WHERE l.{_ROW} IS DISTINCT FROM r.{_ROW}"
    )


def _as_written(name: str, names: Collection[str]) -> str:
    """Return a column's name as it stands among others, whatever its case; as it is if it does not."""
    return name if name in names else next((other for other in names if other.lower() == name.lower()), name)


def _comparable(name: str, before: str, after: str) -> str:
    """Return a key column as text if it is one on one side alone: DuckDB compares no text with what is none."""
    column = sql_name(name)
    return column if before == after or "VARCHAR" not in (before, after) else f"CAST({column} AS VARCHAR) AS {column}"
