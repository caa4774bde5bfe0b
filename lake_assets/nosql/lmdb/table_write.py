"""Writing to one table within a transaction: emptying it, deleting items, and putting items from merged runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from operator import eq, itemgetter
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lake_assets.nosql.contract import SchemaMismatch
from lake_assets.nosql.lmdb.keys import decode_columns
from lake_assets.nosql.lmdb.rows import Rank, ranking
from lake_assets.nosql.lmdb.runs import Item

if TYPE_CHECKING:
    import lmdb

_key_of = itemgetter(0)


class TableWrite:
    """The operations of a write on its table.

    Parameters
    ----------
    transaction
        An open write transaction.
    items
        The handle of the table's named database.
    table
        Name of the table, for errors.
    schema, key, newest_by
        The table's schema, its key columns, and the columns by which the newer of two items is determined.
    """

    def __init__(
        self,
        transaction: lmdb.Transaction[bytes],
        items: Any,
        *,
        table: str,
        schema: pa.Schema,
        key: Sequence[str],
        newest_by: Sequence[str] = (),
    ) -> None:
        self._transaction = transaction
        self._items = items
        self._table = table
        self._key_types = [schema.field(name).type for name in key]
        columns = [field for field in schema if field.name not in key]
        names = [field.name for field in columns]
        # Items with the same key do not differ in key columns.
        positions = [names.index(name) for name in newest_by if name not in key]
        self._rank = ranking([field.type for field in columns], positions) if newest_by else None

    def row_count(self) -> int:
        """Return the current number of items."""
        return self._transaction.stat(self._items)["entries"]

    def empty(self) -> int:
        """Remove all items, and return their number."""
        removed = self.row_count()
        self._transaction.drop(self._items, delete=False)
        return removed

    def delete(self, keys: Iterable[bytes]) -> int:
        """Remove items, and return the number of removed items."""
        return sum(self._transaction.delete(key, db=self._items) for key in keys)

    def put(self, blocks: Iterable[list[Item]]) -> tuple[int, int]:
        """Put items in key order. Return the number of items put, and of items skipped because they are not newer.

        Parameters
        ----------
        blocks
            Blocks of items, in key order.

        Raises
        ------
        SchemaMismatch
            Two items have the same key, and there is no ``newest_by``.
        """
        cursor = self._transaction.cursor(self._items)
        fresh = self.row_count() == 0
        put = kept = 0
        for block in self._distinct(blocks):
            newer = block
            if self._rank is not None and not fresh:
                newer = self._newer(cursor, block, self._rank)
                kept += len(block) - len(newer)
            cursor.putmulti(newer, append=fresh)
            put += len(newer)
        return put, kept

    def _newer(self, cursor: lmdb.Cursor[bytes], block: list[Item], rank: Callable[[bytes], Rank]) -> list[Item]:
        """Return the items that are new, or greater than the stored ones."""
        stored: dict[bytes, bytes] = dict(cursor.getmulti([key for key, _ in block]))
        return [
            item
            for item in block
            if (old := stored.get(item[0])) is None or (old != item[1] and rank(item[1]) > rank(old))
        ]

    def _distinct(self, blocks: Iterable[list[Item]]) -> Iterator[list[Item]]:
        """Yield blocks without duplicate keys, also across blocks."""
        held: list[Item] = []
        for block in blocks:
            # The next block may begin with the same key.
            block = held + block
            keys = list(map(_key_of, block))
            if any(map(eq, keys, islice(keys, 1, None))):
                block = self._greatest(block)
            held = block[-1:]
            yield block[:-1]
        yield held

    def _greatest(self, block: list[Item]) -> list[Item]:
        """Return the greatest item of each key."""
        best: dict[bytes, bytes] = {}
        for key, row in block:
            if key in best and self._rank is None:
                values = tuple(column[0].as_py() for column in decode_columns([key], self._key_types))
                shown = values[0] if len(values) == 1 else values
                raise SchemaMismatch(
                    f"table {self._table!r}: the frame has key {shown!r} more than once; "
                    "set newest_by to choose one of them"
                )
            if key not in best or (self._rank is not None and self._rank(row) > self._rank(best[key])):
                best[key] = row
        return list(best.items())
