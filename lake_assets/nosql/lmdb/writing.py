"""Writing, deleting and dropping a table within a write transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from lake_assets.nosql.choice import Choice
from lake_assets.nosql.contract import Key, NoSQLError, TableNotFound, WriteResult
from lake_assets.nosql.disk_errors import DAMAGED
from lake_assets.nosql.expression import Condition
from lake_assets.nosql.keys import encode_key
from lake_assets.nosql.lmdb.environment import Environment
from lake_assets.nosql.lmdb.expiry import EXPIRY, Due
from lake_assets.nosql.lmdb.log import BATCHES, HISTORY, Log
from lake_assets.nosql.lmdb.reading import Layout, Range
from lake_assets.nosql.lmdb.table_write import TableWrite
from lake_assets.nosql.plan import Plan, Target
from lake_assets.nosql.runs import Item
from lake_assets.nosql.table_schema import TableRecord

if TYPE_CHECKING:
    import lmdb

META = "meta"
"""Name of the database of the tables' descriptions."""

_BLOCK = 65_536


class Writing:
    """What a transaction does with one table.

    Parameters
    ----------
    environment
        The environment.
    transaction
        A write transaction.
    table
        Name of the table.
    """

    def __init__(self, environment: Environment, transaction: lmdb.Transaction[bytes], table: str) -> None:
        self._environment, self._transaction, self._table = environment, transaction, table
        self._meta = environment.create(transaction, META)
        history, batches = (environment.create(transaction, name) for name in (HISTORY, BATCHES))
        self._log = Log(transaction, history, batches, table)

    def apply(
        self,
        plan: Plan,
        target: Target,
        after: Target,
        choice: Choice,
        gone: Iterable[list[Item]],
        blocks: Iterable[list[Item]],
    ) -> WriteResult | None:
        """Write encoded items. Return None if the table was changed since they were encoded.

        Parameters
        ----------
        plan
            The write.
        target, after
            What the table is to be, as the items were encoded, and with the next running number.
        choice
            What becomes of stored items.
        gone, blocks
            Blocks of items to delete and to put, in key order.
        """
        record = find_in(self._transaction, self._meta, self._table)
        if settle(plan, record) != target:
            return None
        items = self._items(target)
        batch = plan.options.batch
        if batch is not None and not self._log.begin(batch):
            return WriteResult(0, 0, 0, items.row_count())
        if plan.mode == "overwrite" or record is None:
            deleted = items.empty()
        else:
            # Rows of a table that is replaced may have other columns.
            deleted = 0
            items.purge()
        deleted += items.delete(key for block in gone for key, _ in block)
        put, kept = items.put(blocks, choice)
        commit = plan.commit_after(record)
        self._transaction.put(self._table.encode(), msgspec.msgpack.encode(after.record(commit)), db=self._meta)
        result = WriteResult(put, deleted, kept, items.row_count())
        self._log.add("write", result, plan.mode, commit, plan.options.run)
        return result

    def delete(self, keys: Sequence[Key], where: str | None) -> int:
        """Delete items, and return their number.

        Parameters
        ----------
        keys, where
            As of :meth:`NoSQLStore.delete`.
        """
        record = self._record()
        items = self._items(Target.of(record))
        encoded = {encode_key(key, record.arrow_schema, record.key) for key in keys} - {b""}
        if where is not None:
            encoded.update(self._matching(record, where))
        deleted = items.delete(sorted(encoded))
        result = WriteResult(0, deleted, 0, items.row_count())
        self._log.add("delete", result, "", record.source_commit)
        return deleted

    def drop(self) -> None:
        """Remove the table."""
        self._record()
        handle = self._environment.create(self._transaction, database(self._table))
        dropped = WriteResult(0, self._transaction.stat(handle)["entries"], 0, 0)
        self._log.forget()
        self._log.add("drop", dropped, "", None)
        # The empty database stays, since other threads may have its handle.
        self._transaction.drop(handle, delete=False)
        self._transaction.delete(self._table.encode(), db=self._meta)

    def _record(self) -> TableRecord:
        record = find_in(self._transaction, self._meta, self._table)
        if record is None:
            raise absent(self._environment.folder, self._table)
        return record

    def _items(self, target: Target) -> TableWrite:
        handle = self._environment.create(self._transaction, database(self._table))
        if target.ttl is None:
            return TableWrite(self._transaction, handle)
        entries = self._environment.create(self._transaction, EXPIRY)
        return TableWrite(self._transaction, handle, Due(self._transaction, entries, self._table, target))

    def _matching(self, record: TableRecord, where: str) -> Iterator[bytes]:
        """Yield the keys of items for which a filter is true."""
        handle = self._environment.create(self._transaction, database(self._table))
        condition = Condition(self._table, where, record.arrow_schema)
        layout = Layout(record)
        for block in Range(record, None, None, None, where).blocks(self._transaction, handle, None, _BLOCK):
            mask = condition.mask(pa.Table.from_batches([layout.whole(block)])).to_pylist()
            yield from (key for (key, _), wanted in zip(block, mask, strict=True) if wanted)


def settle(plan: Plan, record: TableRecord | None) -> Target | None:
    """Return what a table is to be after a write; see :meth:`Plan.settle`.

    Parameters
    ----------
    plan
        The write.
    record
        The table's description. None if there is no table.
    """
    return plan.settle(record, record.source_commit if record else None)


def absent(folder: Path, table: str) -> TableNotFound:
    """Return the error that there is no such table.

    Parameters
    ----------
    folder
        Folder of the store.
    table
        Name of the table.
    """
    return TableNotFound(f"store {folder}: there is no table {table!r}")


def database(table: str) -> str:
    """Return the name of the database of a table's items.

    Parameters
    ----------
    table
        Name of the table.
    """
    return f"table:{table}"


def find_in(transaction: lmdb.Transaction[bytes], meta: Any, table: str) -> TableRecord | None:
    """Return a table's description. None if there is no table.

    Parameters
    ----------
    transaction
        A transaction.
    meta
        Handle of the database of descriptions.
    table
        Name of the table.

    Raises
    ------
    NoSQLError
        The description is damaged.
    """
    stored = transaction.get(table.encode(), db=meta) if table else None
    if stored is None:
        return None
    try:
        record = msgspec.msgpack.decode(stored, type=TableRecord)
        record.arrow_schema  # noqa: B018 - damage is found here, where the table's name is known
    except (msgspec.DecodeError, pa.ArrowException, OSError) as error:
        raise NoSQLError(f"table {table!r}: its columns cannot be read: {error}{DAMAGED}") from error
    return record
