"""The log of each table's operations, and the names of batches that were applied, in the transaction of the write."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import msgspec

from lake_assets.nosql import contract as contracts
from lake_assets.nosql.contract import Operation, WriteResult

if TYPE_CHECKING:
    import lmdb

HISTORY, BATCHES = "history", "batches"
"""Names of the databases."""

_BATCH_AGE = timedelta(days=30)
"""How long a batch is remembered."""


class Log:
    """The log of one table within a write transaction.

    Parameters
    ----------
    transaction
        The transaction.
    history, batches
        Handles of the databases.
    table
        Name of the table.
    """

    def __init__(self, transaction: lmdb.Transaction[bytes], history: Any, batches: Any, table: str) -> None:
        self._transaction = transaction
        self._history, self._batches = history, batches
        self._prefix = _prefix(table)
        self._now = datetime.now(timezone.utc)

    def add(self, kind: str, result: WriteResult, mode: str, source_commit: str | None, run: str = "") -> None:
        """Add an operation. Only the newest ones are kept.

        Parameters
        ----------
        kind, mode, source_commit, run
            As of :class:`~lake_assets.nosql.contract.Operation`.
        result
            What it did.
        """
        at = self._now.isoformat(timespec="microseconds")
        done = Operation(at, kind, mode, **asdict(result), source_commit=source_commit, run=run)
        keys = [key for key, _ in _entries(self._transaction, self._history, self._prefix)]
        number = int.from_bytes(keys[-1][-8:], "big") + 1 if keys else 0
        self._transaction.put(self._prefix + number.to_bytes(8, "big"), msgspec.msgpack.encode(done), db=self._history)
        for key in keys[: max(0, len(keys) + 1 - contracts.LOGGED)]:
            self._transaction.delete(key, db=self._history)

    def begin(self, batch: str) -> bool:
        """Remember a batch. Return False if it was applied before.

        Parameters
        ----------
        batch
            Name of the batch.
        """
        key = self._prefix + hashlib.sha256(batch.encode()).digest()
        if self._transaction.get(key, db=self._batches) is not None:
            return False
        oldest = (self._now - _BATCH_AGE).isoformat().encode()
        for old, at in _entries(self._transaction, self._batches, self._prefix):
            if at < oldest:
                self._transaction.delete(old, db=self._batches)
        self._transaction.put(key, self._now.isoformat().encode(), db=self._batches)
        return True

    def forget(self) -> None:
        """Forget all batches, since the table is dropped."""
        for key, _ in _entries(self._transaction, self._batches, self._prefix):
            self._transaction.delete(key, db=self._batches)


def read_history(transaction: lmdb.Transaction[bytes], history: Any, table: str) -> tuple[Operation, ...]:
    """Return the operations of a table, the newest first.

    Parameters
    ----------
    transaction
        A read transaction.
    history
        Handle of the database.
    table
        Name of the table.
    """
    found = _entries(transaction, history, _prefix(table))
    return tuple(msgspec.msgpack.decode(value, type=Operation) for _, value in reversed(found))


def _prefix(table: str) -> bytes:
    return table.encode() + b"\x00"


def _entries(transaction: lmdb.Transaction[bytes], database: Any, prefix: bytes) -> list[tuple[bytes, bytes]]:
    def found() -> Iterator[tuple[bytes, bytes]]:
        cursor = transaction.cursor(database)
        if cursor.set_range(prefix):
            for key, value in cursor.iternext():
                if not key.startswith(prefix):
                    return
                yield key, value

    return list(found())
