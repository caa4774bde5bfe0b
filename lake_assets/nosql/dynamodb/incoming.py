"""The encoded items of a write: in sorted runs of this process, or on the workers of Spark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from lake_assets.nosql.choice import Choice
from lake_assets.nosql.difference import paired
from lake_assets.nosql.dynamodb.lease import Lease
from lake_assets.nosql.dynamodb.rows import Layout
from lake_assets.nosql.dynamodb.writing import Writing
from lake_assets.nosql.runs import Item, merge, write_runs


class Incoming(Protocol):
    """The encoded items of a write, wherever they are."""

    def check(self, layout: Layout) -> None:
        """Refuse items that DynamoDB does not hold, before anything is written.

        Parameters
        ----------
        layout
            The layout of the items.
        """
        ...

    def put_new(self, lease: Lease, writing: Writing, batch: str | None) -> int:
        """Put them into an empty table; see :meth:`Writing.put_new`."""
        ...

    def put(self, lease: Lease, writing: Writing, batch: str | None) -> tuple[int, int, int | None]:
        """Put them; see :meth:`Writing.put`. The last number is None if nobody knows it."""
        ...

    def replace(self, lease: Lease, writing: Writing, comparable: bool) -> tuple[int, int | None]:
        """Make them the table's only ones; see :meth:`Writing.replace`. The last number is None if nobody knows it."""
        ...


class InRuns:
    """Items in sorted runs.

    Parameters
    ----------
    folder
        Folder of the runs, and for further ones.
    runs
        Names of the runs.
    choice
        What refuses equal keys, or chooses among them.
    """

    def __init__(self, folder: Path, runs: Sequence[str], choice: Choice) -> None:
        self._folder, self._runs, self._choice = folder, runs, choice

    def check(self, layout: Layout) -> None:
        """Refuse items that DynamoDB does not hold; see :meth:`Incoming.check`."""
        check_items(layout, merge(self._folder, self._runs), self._choice)

    def put_new(self, lease: Lease, writing: Writing, batch: str | None) -> int:
        """Put the items into an empty table; see :meth:`Writing.put_new`."""
        del lease
        return writing.put_new(merge(self._folder, self._runs), batch)

    def put(self, lease: Lease, writing: Writing, batch: str | None) -> tuple[int, int, int]:
        """Put the items; see :meth:`Writing.put`."""
        del lease
        return writing.put(merge(self._folder, self._runs), batch)

    def replace(self, lease: Lease, writing: Writing, comparable: bool) -> tuple[int, int]:
        """Make the items the table's only ones; see :meth:`Writing.replace`."""
        del lease
        stored = merge(self._folder, list(write_runs(self._folder, writing.scan())))
        return writing.replace(paired(stored, self._choice.fresh(merge(self._folder, self._runs))), comparable)


def check_items(layout: Layout, blocks: Iterable[list[Item]], choice: Choice) -> None:
    """Refuse items that DynamoDB does not hold.

    Parameters
    ----------
    layout
        The layout of the items.
    blocks
        Blocks of items in key order.
    choice
        What refuses equal keys.
    """
    for block in choice.distinct(blocks):
        if block:
            layout.check(block)
