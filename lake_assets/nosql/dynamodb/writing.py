"""A write to a table of DynamoDB: the stored items are read, and only what differs is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from lake_assets.nosql.choice import Choice
from lake_assets.nosql.difference import paired
from lake_assets.nosql.dynamodb.catalog import Catalog, Lease, part_of
from lake_assets.nosql.dynamodb.client import Client
from lake_assets.nosql.dynamodb.rows import Layout
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
    """

    def __init__(
        self, client: Client, catalog: Catalog, lease: Lease, name: str, layout: Layout, choice: Choice
    ) -> None:
        self._client, self._catalog, self._lease = client, catalog, lease
        self._name, self._layout, self._choice = name, layout, choice

    def put_new(self, blocks: Iterable[list[Item]], batch: str | None = None) -> int:
        """Put items into an empty table, and return their number.

        Parameters
        ----------
        blocks
            Blocks of items in key order.
        batch
            Name of the batch, if counters are to be exact.
        """
        if batch is not None:
            return self.put(blocks, batch)[0]
        count = 0
        for block in _blocks(self._choice.distinct(blocks)):
            items = self._choice.combine({}, block) if self._choice.combines else block
            self._send(items)
            count += len(items)
        return count

    def put(self, blocks: Iterable[list[Item]], batch: str | None = None) -> tuple[int, int, int]:
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

    def replace(self, blocks: Iterable[list[Item]], folder: Path, comparable: bool) -> tuple[int, int]:
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
