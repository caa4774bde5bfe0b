"""Writing to one table within a transaction: emptying it, deleting items, and putting items from merged runs."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from lake_assets.nosql.choice import Choice
from lake_assets.nosql.lmdb.expiry import Due
from lake_assets.nosql.runs import Item, larger

if TYPE_CHECKING:
    import lmdb

_key_of, _row_of = itemgetter(0), itemgetter(1)


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
                stored = [None] * len(block) if fresh else lookup.of(block)
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

    def of(self, block: list[Item]) -> list[bytes | None]:
        """Return the stored row of each item's key, or None.

        Walking over the table takes half the time of looking up one key after the other, as long as not many other
        keys are in between.
        """
        keys = list(map(_key_of, block))
        if self._dense and block and self._cursor.set_range(keys[0]):
            walk = self._cursor.iternext()
            found = list(islice(walk, len(block)))
            if list(map(_key_of, found)) == keys:
                return list(map(_row_of, found))
            if found[-1][0] < keys[-1]:
                found += islice(walk, len(block))
            self._dense = len(found) < 2 * len(block) or found[-1][0] >= keys[-1]
            if self._dense:
                return list(map(dict(found).get, keys))
        # One by one: in key order that takes two thirds of the time of getmulti.
        return list(map(self._cursor.get, keys))
