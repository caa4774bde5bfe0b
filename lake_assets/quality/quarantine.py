"""What entered and left quarantine between two states of the same rows' table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lake_assets.lake.rows import Columns, aligned
from lake_assets.quality.constraints import AnyConstraint
from lake_assets.quality.querying import as_table, opened, query
from lake_assets.quality.verifying import split

if TYPE_CHECKING:
    import pyarrow
    from duckdb import DuckDBPyConnection


def quarantine_changes(
    before: Any,
    after: Any,
    constraints: Sequence[AnyConstraint],
    *,
    references: Mapping[str, Any] | None = None,
    references_before: Mapping[str, Any] | None = None,
) -> tuple[pyarrow.Table, pyarrow.Table]:
    """Return the rows that break a constraint now and did not before, and those that no longer do, with their reasons.

    A row that is there twice counts twice. One that breaks other constraints than before has left, and entered.
    Columns are compared by name. Where one is missing, its values are null, and constraints on it reject no row.

    Parameters
    ----------
    before, after
        Frames of any library.
    constraints
        The constraints.
    references
        The rows that constraints refer to, by name.
    references_before
        Those that they referred to before; by default the same.

    Raises
    ------
    ValueError
        A constraint names a column that neither frame has, or rows that are not there, or its SQL is wrong.
    """
    tables = as_table(before), as_table(after)
    others = references if references_before is None else references_before, references
    old, new = (
        split(table, _judged(constraints, table, other), references=given)[1]
        for table, other, given in zip(tables, reversed(tables), others, strict=True)
    )
    with opened(new, {"old": old}) as connection:
        was, now = (_columns(connection, view) for view in ("old", "frame"))
        names = list(dict.fromkeys([*now, *was]))
        sides = [
            f"SELECT {aligned(names, *columns)} FROM {view}"  # noqa: S608
            for view, columns in (("frame", (now, was)), ("old", (was, now)))
        ]
        entered, left = (
            query(connection, f"{one} EXCEPT ALL {other} ORDER BY ALL") for one, other in (sides, reversed(sides))
        )
    return entered, left


def _columns(connection: DuckDBPyConnection, view: str) -> Columns:
    return {name: kind for name, kind, *_ in connection.execute(f"DESCRIBE FROM {view}").fetchall()}


def _judged(
    constraints: Sequence[AnyConstraint], table: pyarrow.Table, other: pyarrow.Table
) -> Sequence[AnyConstraint]:
    """Return the constraints but those on columns that only the other table has."""
    absent = {*other.column_names} - {*table.column_names}
    return [one for one in constraints if not absent.intersection(one.named_columns)]
