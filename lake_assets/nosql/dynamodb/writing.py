"""A write to a table of DynamoDB: the stored items are read, and only what differs is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from lake_assets.nosql.choice import Choice
from lake_assets.nosql.contract import WriteResult
from lake_assets.nosql.difference import paired
from lake_assets.nosql.dynamodb.administration import create_table, delete_table
from lake_assets.nosql.dynamodb.catalog import Catalog, part_of
from lake_assets.nosql.dynamodb.client import Client
from lake_assets.nosql.dynamodb.entry import Entry
from lake_assets.nosql.dynamodb.lease import Lease
from lake_assets.nosql.dynamodb.reading import Range, pages
from lake_assets.nosql.dynamodb.rows import Layout
from lake_assets.nosql.expression import Condition
from lake_assets.nosql.plan import Plan, Target
from lake_assets.nosql.runs import Item, merge, write_runs

_BLOCK = 2000
_TRANSACTION = 98
"""Items in a transaction, beside the lease and the marker of the batch."""


class Writing:
    """The operations of one write.

    Parameters
    ----------
    client
        The client.
    catalog
        The catalog.
    lease
        The writer's lease.
    name
        Name of the table in DynamoDB.
    layout
        The table's layout after the write.
    choice
        What becomes of stored items.
    tags
        Tags of a new table.
    """

    def __init__(
        self,
        client: Client,
        catalog: Catalog,
        lease: Lease,
        name: str,
        layout: Layout,
        choice: Choice,
        tags: Sequence[dict[str, str]] = (),
    ) -> None:
        self._client, self._catalog, self._lease = client, catalog, lease
        self._name, self._layout, self._choice = name, layout, choice
        self._tags = tags

    def apply(
        self,
        plan: Plan,
        after: Target,
        entry: Entry | None,
        folder: Path,
        gone: Iterator[list[Item]],
        blocks: Iterator[list[Item]],
    ) -> WriteResult:
        """Write encoded items, while the lease is held.

        Parameters
        ----------
        plan
            The write.
        after
            What the table is after it.
        entry
            The table's record before it. None if there is no table.
        folder
            Folder for sorted runs.
        gone, blocks
            Blocks of items to delete and to put, in key order.
        """
        options, overwrite = plan.options, plan.mode == "overwrite"
        batch = options.batch if options.counter or options.set else None
        record = after.record(plan.commit_after(entry.table if entry is not None else None))
        had = Layout(plan.table, Target.of(entry.table)) if entry is not None else None
        replaced, pending = 0, None
        if had is not None and overwrite and not self._layout.made_as(had):
            replaced, had = self._client.count(self._name), None
        if entry is None or had is None:
            # What is there without a record is left over from a write that was killed.
            delete_table(self._client, self._name)
            self._catalog.forget(self._lease)
            create_table(self._client, self._name, self._layout.physical_key, self._tags, self._layout.expires)
            count = self._put_new(blocks, batch)
            result = WriteResult(count, replaced, 0, count)
        else:
            rows = entry.rows if entry.is_counted else self._client.count(self._name)
            # What only the next write of a commit ends stays unfinished.
            pending = None if not entry.pending or plan.source_commit or overwrite else entry.pending
            self._catalog.begin(self._lease, entry, pending or record.source_commit)
            if overwrite:
                put, deleted = self._replace(blocks, folder, had.schema == self._layout.schema)
                result = WriteResult(put, deleted, 0, put)
            else:
                deleted = self.delete(gone)
                put, kept, new = self._put(blocks, batch)
                result = WriteResult(put, deleted, kept, rows - deleted + new)
        after_it = Entry(record, result.row_count, pending)
        self._catalog.finish(self._lease, after_it, "write", plan.mode, result, options.batch)
        return result

    def _put_new(self, blocks: Iterable[list[Item]], batch: str | None = None) -> int:
        """Put items into an empty table, and return their number.

        Parameters
        ----------
        blocks
            Blocks of items in key order.
        batch
            Name of the batch, if counters are to be exact.
        """
        if batch is not None:
            return self._put(blocks, batch)[0]
        count = 0
        for block in _blocks(self._choice.distinct(blocks)):
            items = self._choice.combine({}, block) if self._choice.combines else block
            self._send(items)
            count += len(items)
        return count

    def _put(self, blocks: Iterable[list[Item]], batch: str | None = None) -> tuple[int, int, int]:
        """Put items. Return the numbers of items put, kept, and new.

        Parameters
        ----------
        blocks
            Blocks of items in key order.
        batch
            Name of the batch, if counters are to be exact.
        """
        put = kept = new = 0
        size = _TRANSACTION if batch is not None else _BLOCK
        for number, block in enumerate(_blocks(self._choice.distinct(blocks), size)):
            stored = self.stored([key for key, _ in block])
            chosen = self._choice.combine(stored, block)
            if batch is None:
                self._send([item for item in chosen if stored.get(item[0]) != item[1]])
            elif not self._add(part_of(batch, number, block), chosen):
                continue
            put += len(chosen)
            kept += len(block) - len(chosen)
            new += sum(key not in stored for key, _ in chosen)
        return put, kept, new

    def _replace(self, blocks: Iterable[list[Item]], folder: Path, comparable: bool) -> tuple[int, int]:
        """Make items the table's only ones. Return the numbers of items put, and of items that were there.

        Parameters
        ----------
        blocks
            Blocks of items in key order.
        folder
            Folder for sorted runs of the stored items.
        comparable
            Whether the stored items have the columns of the new ones.
        """
        read = (self._layout.encode(self._layout.read(page)) for page in self._client.scan(self._name) if page)
        stored = merge(folder, list(write_runs(folder, read)))
        put = deleted = 0
        changed: list[Item] = []
        gone: list[bytes] = []
        for key, old, new in paired(stored, self._choice.distinct(blocks)):
            deleted += old is not None
            put += new is not None
            if new is None:
                gone.append(key)
            elif not comparable or old != new:
                changed.append((key, new))
            if len(changed) + len(gone) >= _BLOCK:
                self._send(changed, gone)
                changed, gone = [], []
        self._send(changed, gone)
        return put, deleted

    def delete(self, blocks: Iterable[list[Item]]) -> int:
        """Delete items, and return the number of those that were there.

        Parameters
        ----------
        blocks
            Blocks of items in key order. Only their keys count.
        """
        deleted = 0
        for block in _blocks(blocks):
            there = list(self.stored(list(dict.fromkeys(key for key, _ in block))))
            self._send([], there)
            deleted += len(there)
        return deleted

    def matching(self, where: str) -> Iterator[list[Item]]:
        """Yield the items for which a filter is true.

        Parameters
        ----------
        where
            The filter.
        """
        condition = Condition(self._lease.table, where, self._layout.schema)
        for page in pages(self._client, self._name, Range(self._layout, where=where)):
            if page:
                batch = self._layout.read(page)
                keys, rows = self._layout.encode(batch.filter(condition.mask(pa.Table.from_batches([batch]))))
                yield list(zip(keys.to_pylist(), rows.to_pylist(), strict=True))

    def stored(self, keys: list[bytes]) -> dict[bytes, bytes]:
        """Return the encoded rows of those keys that are stored.

        Parameters
        ----------
        keys
            Different encoded keys.
        """
        found: dict[bytes, bytes] = {}
        for items in self._client.read(self._name, self._layout.keys(keys) if keys else []):
            if items:
                encoded = self._layout.encode(self._layout.read(items))
                found.update(zip(*(column.to_pylist() for column in encoded), strict=True))
        return found

    def _send(self, items: list[Item], gone: list[bytes] | None = None) -> None:
        requests: list[dict[str, Any]] = []
        if items:
            requests += [{"PutRequest": {"Item": item}} for item in self._layout.items(items)]
        if gone:
            requests += [{"DeleteRequest": {"Key": key}} for key in self._layout.keys(gone)]
        self._client.write(self._name, requests, self._lease.check)

    def _add(self, part: str, items: list[Item]) -> bool:
        """Put items, and mark this part of a batch, at once. Return False if it was done before."""
        table = self._lease.table
        if self._catalog.applied(table, part):
            return False
        puts = [{"Put": {"TableName": self._name, "Item": item}} for item in self._layout.items(items)] if items else []
        self._catalog.transact(self._lease, [self._catalog.marker(table, part), *puts])
        return True


def check_items(layout: Layout, blocks: Iterable[list[Item]], choice: Choice) -> None:
    """Refuse items that DynamoDB does not hold, before anything is written.

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


def _blocks(blocks: Iterable[list[Item]], size: int = _BLOCK) -> Iterator[list[Item]]:
    items = (item for block in blocks for item in block)
    while block := list(islice(items, size)):
        yield block
