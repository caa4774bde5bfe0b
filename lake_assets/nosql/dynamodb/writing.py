"""Putting and deleting items of a table of DynamoDB: stored items are read, and only what differs is sent."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import compress, islice
from typing import Any, NamedTuple

import pyarrow as pa

from lake_assets.nosql.choice import Choice
from lake_assets.nosql.contract import NoSQLError
from lake_assets.nosql.dynamodb.attributes import Attribute, size_of
from lake_assets.nosql.dynamodb.catalog import Catalog, part_of
from lake_assets.nosql.dynamodb.client import Client
from lake_assets.nosql.dynamodb.lease import Hold
from lake_assets.nosql.dynamodb.reading import Range, pages
from lake_assets.nosql.dynamodb.rows import Layout
from lake_assets.nosql.expression import Condition
from lake_assets.nosql.keys import key_of
from lake_assets.nosql.runs import Item

_BLOCK = 2000
_TRANSACTION = 98
"""Items in a transaction, beside the lease and the marker of the batch."""
_TRANSACTION_BYTES = 3_900_000
"""Bytes of these items, and of what is stored of them, which is in the conditions. DynamoDB's limit is 4 MB."""
_TRIES = 50
"""How often an item is read that others write each time before it is written."""


class Writing:
    """The operations of one write.

    Parameters
    ----------
    client
        The client.
    catalog
        The catalog.
    hold
        What lets this writer write.
    name
        Name of the table in DynamoDB.
    layout
        The table's layout after the write.
    choice
        What becomes of stored items.
    """

    def __init__(
        self,
        client: Client,
        catalog: Catalog,
        hold: Hold,
        *,
        name: str,
        layout: Layout,
        choice: Choice,
    ) -> None:
        self._client, self._catalog, self.hold = client, catalog, hold
        self._name, self.layout, self._choice = name, layout, choice
        self._depends = choice.reads or layout.expires is not None

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
        for items in _blocks(self._choice.fresh(blocks)):
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
        size = _TRANSACTION if batch is not None else _BLOCK
        parts = enumerate(_blocks(self._choice.distinct(blocks), size))
        return _sums(self._put(block) if batch is None else self._add(batch, number, block) for number, block in parts)

    def _put(self, block: list[Item], tries: int = _TRIES) -> _Counts:
        stored, chosen = self._combined(block)
        changed = [item for item in chosen if item[0] not in stored or stored[item[0]].row != item[1]]
        if not self._choice.reads:
            self._send(changed)
            return _counts(block, stored, chosen)
        if not (others := self._send_if_as_read(changed, stored)):
            return _counts(block, stored, chosen)
        if tries == 1:
            raise self._overtaken(min(others))
        # Someone else wrote these since they were read, so they are chosen again.
        done, again = ([item for item in block if (item[0] in others) == wanted] for wanted in (False, True))
        counts = _counts(done, stored, [item for item in chosen if item[0] not in others])
        return _sums((counts, self._put(again, tries - 1)))

    def _combined(self, block: list[Item]) -> tuple[dict[bytes, _Stored], list[Item]]:
        """Return what is stored of items, and what is to be."""
        stored = self._read([key for key, _ in block], readable=self._depends)
        rows = [stored[key].row if key in stored else None for key, _ in block]
        return stored, self._choice.combine(rows, block)

    def scan(self, segment: tuple[int, int] | None = None) -> Iterator[tuple[pa.Array, pa.Array]]:
        """Yield the keys and rows of all stored items; see :meth:`Layout.encoded`.

        Parameters
        ----------
        segment
            As of :meth:`Client.scan`.
        """
        for page in self._client.scan(self._name, segment):
            if page:
                yield self.layout.encoded(page)

    def replace(self, pairs: Iterable[tuple[bytes, bytes | None, bytes | None]], comparable: bool) -> tuple[int, int]:
        """Make items the table's only ones. Return the numbers of items put, and of items that were there.

        Parameters
        ----------
        pairs
            Each key with its stored and its new row.
        comparable
            Whether the stored items have the columns of the new ones.
        """
        put = deleted = 0
        changed: list[Item] = []
        gone: list[bytes] = []
        for key, old, new in pairs:
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
            there = list(self._read(list(dict.fromkeys(key for key, _ in block))))
            self._send([], there)
            deleted += len(there)
        return deleted

    def delete_where(self, where: str) -> int:
        """Delete the items for which a filter is true, each as it was read. Return their number.

        Parameters
        ----------
        where
            The filter.
        """
        condition = Condition(self.hold.table, where, self.layout.schema)
        deleted = 0
        for found in pages(self._client, self._name, Range(self.layout, where=where)):
            tries = _TRIES
            while found:
                mask = condition.mask(pa.Table.from_batches([self.layout.read(found)]))
                wanted = list(compress(found, mask.to_pylist()))
                # What someone else wrote since it was read is looked at again.
                found = [item for item in self._client.each(self._delete_as_read, wanted) if item is not None]
                deleted += len(wanted) - len(found)
                if found and tries == 1:
                    raise self._overtaken(self.layout.encoded(found[:1])[0][0].as_py())
                tries -= 1
        return deleted

    def _delete_as_read(self, item: dict[str, Attribute]) -> dict[str, Attribute] | None:
        """Delete an item that is still as it was read. Return what is stored otherwise."""
        key = {name: item[name] for name, _ in self.layout.physical_key}
        return self._client.delete_if(self._name, key, self.layout.unchanged(item), self.hold.check)

    def _overtaken(self, key: bytes) -> NoSQLError:
        """Return the error that others keep writing an item."""
        shown = key_of(key, [self.layout.schema.field(name).type for name in self.layout.key])
        return NoSQLError(
            f"table {self.hold.table!r}: the item with key {shown!r} was read {_TRIES} times, and each time others "
            "wrote it before this write did: write again"
        )

    def _read(self, keys: list[bytes], readable: bool = False) -> dict[bytes, _Stored]:
        """Return what is stored of different keys. With ``readable``, an item that cannot be read is refused."""
        found: dict[bytes, _Stored] = {}
        for items in self._client.read(self._name, self.layout.keys(keys) if keys else []):
            if items:
                encoded = self.layout.encode(self.layout.read(items)) if readable else self.layout.encoded(items)
                pairs = zip(*(column.to_pylist() for column in encoded), strict=True)
                found.update((key, _Stored(row, item)) for (key, row), item in zip(pairs, items, strict=True))
        return found

    def _send_if_as_read(self, items: list[Item], stored: Mapping[bytes, _Stored]) -> set[bytes]:
        """Put items where what is stored is still what was read, and return the keys of the others."""

        def send(both: tuple[Item, dict[str, Attribute]]) -> bool:
            (key, _), item = both
            before = stored[key].item if key in stored else None
            return self._client.put_if(self._name, item, self.layout.unchanged(before), self.hold.check)

        both = list(zip(items, self.layout.items(items), strict=True))
        return {key for (key, _), sent in zip(items, self._client.each(send, both), strict=True) if not sent}

    def _send(self, items: list[Item], gone: list[bytes] | None = None) -> None:
        requests: list[dict[str, Any]] = []
        if items:
            requests += [{"PutRequest": {"Item": item}} for item in self.layout.items(items)]
        if gone:
            requests += [{"DeleteRequest": {"Key": key}} for key in self.layout.keys(gone)]
        self._client.write(self._name, requests, self.hold.check)

    def _add(self, batch: str, number: int, block: list[Item], tries: int = _TRIES) -> _Counts:
        """Put items, and mark this part of a batch as applied, at once. Do nothing if it was applied before.

        What is too large for a transaction is put by halves. That is marked first: how large items are depends on what
        is stored, and a batch that is written again must have the same parts.
        """
        table, part = self.hold.table, part_of(batch, number, block)
        state = self._catalog.state(table, part)
        if state == "applied":
            return 0, 0, 0
        if state is None:
            stored, chosen = self._combined(block)
            items = self.layout.items(chosen) if chosen else []
            before = [stored[key].item if key in stored else None for key, _ in chosen]
            if sum(map(size_of, [*items, *filter(None, before)])) <= _TRANSACTION_BYTES:
                puts = [
                    {"Put": {"TableName": self._name, "Item": item} | self.layout.unchanged(old)}
                    for item, old in zip(items, before, strict=True)
                ]
                self._client.wait(len(puts))
                done = self._catalog.transact(self.hold, [self._catalog.marker(table, part), *puts])
                if done:
                    return _counts(block, stored, chosen)
                if tries == 1:
                    raise self._overtaken(self._changed(stored, block))
                return self._add(batch, number, block, tries - 1)
            self._catalog.transact(self.hold, [self._catalog.marker(table, part, halved=True)])
        half = len(block) // 2
        return _sums(self._add(batch, number, some) for some in (block[:half], block[half:]))

    def _changed(self, stored: Mapping[bytes, _Stored], block: list[Item]) -> bytes:
        """Return the key of an item that others wrote since it was read; the first key if there is none."""
        keys = [key for key, _ in block]
        now = self._read(keys)
        return next((key for key in keys if stored.get(key) != now.get(key)), keys[0])


class _Stored(NamedTuple):
    """A stored item: its encoded row (see :meth:`Layout.encoded`), and as it is in DynamoDB."""

    row: bytes
    item: dict[str, Attribute]


_Counts = tuple[int, int, int]
"""Numbers of items put, kept, and new."""


def _counts(block: list[Item], stored: Container[bytes], chosen: list[Item]) -> _Counts:
    return len(chosen), len(block) - len(chosen), sum(key not in stored for key, _ in chosen)


def _sums(counts: Iterable[_Counts]) -> _Counts:
    put = kept = new = 0
    for one in counts:
        put, kept, new = put + one[0], kept + one[1], new + one[2]
    return put, kept, new


def _blocks(blocks: Iterable[list[Item]], size: int = _BLOCK) -> Iterator[list[Item]]:
    items = (item for block in blocks for item in block)
    while block := list(islice(items, size)):
        yield block
