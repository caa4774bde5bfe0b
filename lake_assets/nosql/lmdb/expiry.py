"""Removing items that have expired: an index by time, in the transaction of a write.

An item that is written again, or deleted, leaves its entry in the index. When its time comes, the stored item says
whether it has expired.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from lake_assets.nosql.expiry import Expiry, now
from lake_assets.nosql.plan import Target
from lake_assets.nosql.runs import Item

if TYPE_CHECKING:
    import lmdb

EXPIRY = "expiry"
"""Name of the database."""

_SIGN = 1 << 63


class Due:
    """The index of one table within a write transaction.

    Parameters
    ----------
    transaction
        The transaction.
    entries
        Handle of the database.
    table
        Name of the table.
    target
        What it is. It has a ``ttl``.
    """

    def __init__(self, transaction: lmdb.Transaction[bytes], entries: Any, table: str, target: Target) -> None:
        self._transaction, self._entries = transaction, entries
        self._prefix = hashlib.sha256(table.encode()).digest()[:16]
        place = target.schema.names.index(target.ttl or "") - len(target.key)
        self.expiry = Expiry(place)

    def add(self, items: Iterable[Item]) -> None:
        """Remember when items expire.

        Parameters
        ----------
        items
            Keys and rows.
        """
        for key, row in items:
            at = self.expiry.at(row)
            if at is not None:
                entry = self._prefix + (at + _SIGN).to_bytes(8, "big") + hashlib.sha256(key).digest()[:16]
                self._transaction.put(entry, key, db=self._entries)

    def pop(self) -> list[bytes]:
        """Return the keys of items that may have expired, and forget their entries."""
        found = list(self._until(now()))
        for entry, _ in found:
            self._transaction.delete(entry, db=self._entries)
        return [key for _, key in found]

    def forget(self) -> None:
        """Forget all entries, since the table is emptied."""
        for entry, _ in list(self._until(_SIGN - 1)):
            self._transaction.delete(entry, db=self._entries)

    def _until(self, at: int) -> Iterator[tuple[bytes, bytes]]:
        end = self._prefix + (at + _SIGN + 1).to_bytes(9, "big")[1:] if at + 1 < _SIGN else self._prefix + b"\xff" * 9
        cursor = self._transaction.cursor(self._entries)
        if cursor.set_range(self._prefix):
            for entry, key in cursor.iternext():
                if entry >= end:
                    return
                yield entry, key
