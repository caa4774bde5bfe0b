"""A table's record in the catalog."""

from __future__ import annotations

from dataclasses import dataclass

from lake_assets.nosql.contract import UNFINISHED
from lake_assets.nosql.plan import Plan, Target
from lake_assets.nosql.table_schema import TableRecord


@dataclass(frozen=True, slots=True)
class Entry:
    """A table's record.

    Parameters
    ----------
    table
        Its schema, key and commit.
    rows
        The number of items, as far as it is known; see :attr:`is_counted`.
    pending
        The commit that an unfinished write was bringing the table to; empty if it had none. None if there is none.
    """

    table: TableRecord
    rows: int
    pending: str | None = None

    @property
    def reflects(self) -> str | None:
        """The commit that the table reflects."""
        return self.table.source_commit if self.pending is None else f"{UNFINISHED}{self.pending}"

    @property
    def is_counted(self) -> bool:
        """Whether ``rows`` is the number of items."""
        return self.pending is None and self.table.ttl is None


def settle(plan: Plan, entry: Entry | None) -> Target | None:
    """Return what a table is to be after a write; see :meth:`Plan.settle`.

    Parameters
    ----------
    plan
        The write.
    entry
        The table's record. None if there is no table.
    """
    return plan.settle(entry.table, entry.reflects) if entry is not None else plan.settle(None, None)
