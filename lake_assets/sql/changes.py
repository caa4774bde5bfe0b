"""The rows of an asset that differ between two refs, as a query on two views."""

from __future__ import annotations

from collections.abc import Sequence

from lake_assets.lake.rows import Columns, aligned, sql_name
from lake_assets.sql.errors import SqlError


def changed_rows(left: str, right: str, before: Columns, after: Columns, key: Sequence[str]) -> str:
    """Return the query for the rows that differ.

    Without a key, whole rows are compared: ``change`` (``added`` or ``removed``), ``rows`` (how many times), then the
    columns. With a key: ``change`` (``added``, ``removed`` or ``changed``), the key, then ``before`` and ``after``,
    which have the other columns.

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
    missing = [name for name in key if name not in before or name not in after]
    if missing:
        raise SqlError(f"the key column {missing[0]} is missing; there are {', '.join(names)}")
    others = [name for name in names if name not in key]
    fields = ", ".join(f"{sql_name(name)} := {sql_name(name)}" for name in others)
    row = f"struct_pack({fields})" if others else "true"
    sides = [
        f"(SELECT {', '.join(map(sql_name, key))}, {row} AS {name} FROM ({side} FROM {view}))"  # noqa: S608
        for name, side, view in (("before", old, left), ("after", new, right))
    ]
    keys = [sql_name(name) for name in key]
    joined = " AND ".join(f"l.{name} IS NOT DISTINCT FROM r.{name}" for name in keys)
    shown = ", ".join(f"CASE WHEN r.after IS NULL THEN l.{name} ELSE r.{name} END AS {name}" for name in keys)
    return (
        "SELECT CASE WHEN l.before IS NULL THEN 'added' WHEN r.after IS NULL THEN 'removed' ELSE 'changed' END "  # noqa: S608
        f"AS change, {shown}, l.before, r.after FROM {sides[0]} l FULL JOIN {sides[1]} r ON {joined} "
        "WHERE l.before IS DISTINCT FROM r.after"
    )
