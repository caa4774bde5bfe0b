"""One table within one write transaction: emptied, deleted from, and filled from merged runs."""

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
    """What a write does to its table.

    Parameters
    ----------
    transaction
        An open write transaction.
    items
        The handle of the table's named database.
    schema, key, newest_by
        The table's columns, those of its key, and those that tell which of two items of one key stays.
    """

    def __init__(
        self,
        transaction: lmdb.Transaction[bytes],
        items: Any,
        table: str,
        schema: pa.Schema,
        key: Sequence[str],
        newest_by: Sequence[str],
    ) -> None:
        self._transaction = transaction
        self._items = items
        self._table = table
        self._key_types = [schema.field(name).type for name in key]
        columns = [field for field in schema if field.name not in key]
        names = [field.name for field in columns]
        # Within one key the key's own columns are equal.
        positions = [names.index(name) for name in newest_by if name not in key]
        self._rank = ranking([field.type for field in columns], positions) if newest_by else None

    def row_count(self) -> int:
        """Return the number of items now."""
        return self._transaction.stat(self._items)["entries"]

    def empty(self) -> int:
        """Remove all items and return how many there were."""
        removed = self.row_count()
        self._transaction.drop(self._items, delete=False)
        return removed

    def delete(self, keys: Iterable[bytes]) -> int:
        """Remove items and return how many there were."""
        return sum(self._transaction.delete(key, db=self._items) for key in keys)

    def put(self, blocks: Iterable[list[Item]]) -> tuple[int, int]:
        """Put items that come in key order; return how many were put, and how many left as not newer.

        Raises
        ------
        SchemaMismatch
            Two items have the same key, and there is no ``newest_by`` to tell which stays.
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
        """Return the items that are greater than the stored ones of their keys, or have none."""
        stored: dict[bytes, bytes] = dict(cursor.getmulti([key for key, _ in block]))
        return [
            item
            for item in block
            if (old := stored.get(item[0])) is None or (old != item[1] and rank(item[1]) > rank(old))
        ]

    def _distinct(self, blocks: Iterable[list[Item]]) -> Iterator[list[Item]]:
        """Yield blocks in which each key stands once, over all of them."""
        held: list[Item] = []
        for block in blocks:
            # The last key's equals may lead the next block.
            block = held + block
            keys = list(map(_key_of, block))
            if any(map(eq, keys, islice(keys, 1, None))):
                block = self._greatest(block)
            held = block[-1:]
            yield block[:-1]
        yield held

    def _greatest(self, block: list[Item]) -> list[Item]:
        """Return one item a key: the greatest."""
        best: dict[bytes, bytes] = {}
        for key, row in block:
            if key in best and self._rank is None:
                values = tuple(column[0].as_py() for column in decode_columns([key], self._key_types))
                shown = values[0] if len(values) == 1 else values
                raise SchemaMismatch(
                    f"table {self._table!r}: the frame has key {shown!r} more than once; "
                    "newest_by tells which of them stays"
                )
            if key not in best or (self._rank is not None and self._rank(row) > self._rank(best[key])):
                best[key] = row
        return list(best.items())
