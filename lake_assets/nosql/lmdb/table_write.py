"""Writing to one table within a transaction: emptying it, deleting items, and putting items from merged runs."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from lake_assets.nosql.choice import Choice
from lake_assets.nosql.lmdb.expiry import Due
from lake_assets.nosql.runs import Item, larger

if TYPE_CHECKING:
    import lmdb


class TableWrite:
    """The operations of a write on its table.

    Parameters
    ----------
    transaction
        An open write transaction.
    items
        The handle of the table's named database.
    due
        The index by the time at which items expire. None if none does.
    """

    def __init__(self, transaction: lmdb.Transaction[bytes], items: Any, due: Due | None = None) -> None:
        self._transaction = transaction
        self._items = items
        self._due = due

    def row_count(self) -> int:
        """Return the current number of items."""
        return self._transaction.stat(self._items)["entries"]

    def empty(self) -> int:
        """Remove all items, and return their number."""
        removed = self.row_count()
        if self._due is not None:
            self._due.forget()
        self._transaction.drop(self._items, delete=False)
        return removed

    def purge(self) -> None:
        """Remove the items that have expired."""
        if self._due is None:
            return
        for key in self._due.pop():
            row = self._transaction.get(key, db=self._items)
            if row is not None and self._due.expiry.over(row):
                self._transaction.delete(key, db=self._items)

    def delete(self, keys: Iterable[bytes]) -> int:
        """Remove items, and return the number of removed items."""
        return sum(self._transaction.delete(key, db=self._items) for key in keys)

    def put(self, blocks: Iterable[list[Item]], choice: Choice) -> tuple[int, int]:
        """Put items in key order. Return the number of items put, and of items that were kept.

        Parameters
        ----------
        blocks
            Blocks of items in key order.
        choice
            What becomes of stored items.

        Raises
        ------
        SchemaMismatch
            Two items have the same key, and there is no ``newest_by``.
        """
        cursor = self._transaction.cursor(self._items)
        lookup = _Stored(cursor)
        fresh = self.row_count() == 0
        put = kept = 0
        for block in choice.distinct(larger(blocks) if choice.evaluates else blocks):
            chosen = block
            if choice.combines or (choice.reads and not fresh):
                stored = {} if fresh else lookup.of(block)
                chosen = choice.combine(stored, block)
                kept += len(block) - len(chosen)
            cursor.putmulti(chosen, append=fresh)
            if self._due is not None:
                self._due.add(chosen)
            put += len(chosen)
        return put, kept


class _Stored:
    """Looks up stored rows, block by block in key order."""

    def __init__(self, cursor: lmdb.Cursor[bytes]) -> None:
        self._cursor = cursor
        self._dense = True

    def of(self, block: list[Item]) -> dict[bytes, bytes]:
        """Return the stored rows of a block's keys, and perhaps of some keys in between.

        Walking over the table takes half the time of looking up one key after the other, as long as not many other
        keys are in between.
        """
        if self._dense and block and self._cursor.set_range(block[0][0]):
            walk = self._cursor.iternext()
            found = list(islice(walk, len(block)))
            if found[-1][0] < block[-1][0]:
                found += islice(walk, len(block))
            self._dense = len(found) < 2 * len(block) or found[-1][0] >= block[-1][0]
            if self._dense:
                return dict(found)
        # One by one: in key order that takes two thirds of the time of getmulti.
        keys = [key for key, _ in block]
        return {key: row for key, row in zip(keys, map(self._cursor.get, keys), strict=True) if row is not None}
