"""What a write does with its table, beside putting items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lake_assets.nosql.errors import NoSQLError

SaveMode = Literal["append", "overwrite", "errorifexists", "ignore", "create_only"]
"""Spark's DataFrameWriter modes, where ``append`` upserts by key; ``create_only`` writes only items that are new."""

MODES: tuple[SaveMode, ...] = ("append", "overwrite", "errorifexists", "ignore", "create_only")

_SPREAD = 100
"""The most parts of a partition key, since a read of it asks for each."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a write treats stored items, and how a new table is made.

    Parameters
    ----------
    update
        ``replace`` the stored item, or change only the given ``columns``. Then the frame needs no other columns.
    condition
        An SQL expression over the stored item and the new one, such as ``new.Time > old.Time``. Where it is not true,
        the item is kept. An item whose key is not stored is written.
    counter
        Numeric columns that are added to the stored values.
    set
        Columns, each with the SQL expression over ``old`` and ``new`` that is its value, such as
        ``{"High": "greatest(old.High, new.High)"}``. Where the key is not stored, all of ``old`` is null.
    batch
        Name of this write, which ``counter`` needs. A write of the same name is not applied again.
    partition
        Columns that items are grouped by: they come before ``key``. A filter by them reads only their items.
    spread
        Number of parts that the items of one partition key are spread over, by their sort keys. They are read as one.
        Only DynamoDB needs it, where one partition key bears 1,000 writes a second.
    ttl
        A column of timestamps. From then on the item is not there any more.
    run
        Id of the Dagster run that writes, for the table's log.
    """

    update: Literal["replace", "columns"] = "replace"
    condition: str | None = None
    counter: Sequence[str] = ()
    set: Mapping[str, str] = field(default_factory=dict)
    batch: str | None = None
    partition: Sequence[str] = ()
    spread: int = 1
    ttl: str | None = None
    run: str = ""

    def check(self, table: str, source_commit: str | None) -> None:
        """Refuse options that contradict each other.

        Parameters
        ----------
        table
            Name of the table, for errors.
        source_commit
            The commit that the write brings the table to.

        Raises
        ------
        NoSQLError
            The options contradict each other.
        """
        if self.update not in ("replace", "columns"):
            raise NoSQLError(f"table {table!r}: update is {self.update!r}, not replace or columns")
        if not 1 <= self.spread <= _SPREAD:
            raise NoSQLError(f"table {table!r}: spread is {self.spread}, not 1 to {_SPREAD}")
        if self.counter and not self.batch:
            raise NoSQLError(
                f"table {table!r}: counter needs a batch, the name of this write, so that a retry does not count twice"
            )
        if self.batch == "":
            raise NoSQLError(f"table {table!r}: batch is empty: name this write")
        if both := sorted({*self.counter} & {*self.set}):
            raise NoSQLError(f"table {table!r}: column {both[0]!r} is a counter, and set has it, too")
        if source_commit is not None:
            refuse_incomparable(
                table, {"condition": self.condition, "counter": self.counter, "set": self.set, "ttl": self.ttl}
            )


def refuse_incomparable(table: str, given: Mapping[str, object]) -> None:
    """Refuse what makes a table that is fed by row difference another one than the lake shows.

    Parameters
    ----------
    table
        Name of the table, for errors.
    given
        Name of each option, and its value, which is false where it is not given.

    Raises
    ------
    NoSQLError
        One of them is given.
    """
    for name, value in given.items():
        if value:
            raise NoSQLError(
                f"table {table!r}: {name} is refused, since the table is fed by row difference and must stay "
                "comparable with the lake"
            )
