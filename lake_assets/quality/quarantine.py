"""What entered and left quarantine between two states of the same rows' table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lake_assets.lake.rows import bounded_connection
from lake_assets.quality.constraints import AnyConstraint
from lake_assets.quality.verifying import split

if TYPE_CHECKING:
    import pyarrow


def quarantine_changes(
    before: Any, after: Any, constraints: Sequence[AnyConstraint], *, references: Mapping[str, Any] | None = None
) -> tuple[pyarrow.Table, pyarrow.Table]:
    """Return the rows that break a constraint now and did not before, and those that no longer do, with their reasons.

    A row that is there twice counts twice. One that breaks other constraints than before has left, and entered.

    Parameters
    ----------
    before, after
        Frames of any library, with the same columns.
    constraints
        The constraints.
    references
        The rows that constraints refer to, by name.
    """
    old, new = (split(data, constraints, references=references)[1] for data in (before, after))
    with bounded_connection() as connection:
        connection.register("old", old)
        connection.register("new", new)
        entered, left = (
            connection.sql(f"FROM {a} EXCEPT ALL FROM {b} ORDER BY ALL").to_arrow_table()
            for a, b in (("new", "old"), ("old", "new"))
        )
    return entered, left
