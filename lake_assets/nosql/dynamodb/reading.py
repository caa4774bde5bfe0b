"""Scans of a table of DynamoDB: a query where all keys are in one partition, otherwise all segments in parallel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute

from lake_assets.nosql.contract import Key, NoSQLError
from lake_assets.nosql.dynamodb.attributes import Attribute
from lake_assets.nosql.dynamodb.client import Client
from lake_assets.nosql.dynamodb.rows import Layout
from lake_assets.nosql.keys import MAX_KEY_BYTES, encode_key, encode_prefix, following
from lake_assets.nosql.pruning import after_prefix, key_range
from lake_assets.nosql.runs import Item, merge, write_runs

pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them


class Range:
    """A range of keys.

    Parameters
    ----------
    layout
        The table's layout.
    start, end, prefix, where
        As of :meth:`NoSQLStore.scan`.
    """

    def __init__(
        self,
        layout: Layout,
        start: Key | None = None,
        end: Key | None = None,
        prefix: Key | None = None,
        where: str | None = None,
    ) -> None:
        schema, key = layout.schema, layout.key
        low = b"" if start is None else encode_key(start, schema, key, prefix=True)
        high = None if end is None else encode_key(end, schema, key, prefix=True)
        begin = b"" if prefix is None else encode_prefix(prefix, schema, key)
        pruned = key_range(where, schema, key)
        self.low = max(low, begin, pruned.low)
        bounds = (high, after_prefix(begin), pruned.high)
        self.high = min((bound for bound in bounds if bound is not None), default=None)
        self._layout = layout
        given = _partition(start, end, prefix)
        self.partition = pruned.partition if given is None else given
        self.empty = self.high is not None and self.low >= self.high
        if isinstance(self.partition, str):
            # No item has such a key, and DynamoDB would refuse it.
            self.empty |= not 0 < len(self.partition.encode()) <= MAX_KEY_BYTES

    def queries(self) -> list[dict[str, Any]]:
        """Return the arguments of queries of the range's partition: one for each part that it is spread over."""
        if self.partition is None:
            return []
        first = encode_key((self.partition,), self._layout.schema, self._layout.key, prefix=True)
        return [self._query(part, first) for part in self._layout.partitions(self.partition)]

    def _query(self, partition: Attribute, first: bytes) -> dict[str, Any]:
        """Return the arguments of one query. ``first`` is the encoded first key column."""
        hash_name, *sort = (name for name, _ in self._layout.physical_key)
        names, values = {"#hash": hash_name}, {":hash": partition}
        condition = "#hash = :hash"
        if sort:
            # A bound beyond the partition, such as the next partition key, is none of its sort keys.
            low, high = (
                bound.removeprefix(first) if bound is not None and bound.startswith(first) else None
                for bound in (self.low, self.high)
            )
            bounds = {":low": self._sort_value(low), ":high": self._sort_value(high)}
            # What it lets through is compared again, so an inclusive bound is enough.
            given = {name: value for name, value in bounds.items() if value is not None}
            words = "BETWEEN :low AND :high" if len(given) > 1 else ">= :low" if ":low" in given else "<= :high"
            if given and self._ordered(given):
                condition += f" AND #sort {words}"
                names["#sort"] = sort[0]
                values |= given
        return {
            "KeyConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
        }

    def filter(self) -> dict[str, Any]:
        """Return the arguments of a scan that sends the items whose first key column is in the range, or a few more."""
        bounds = {">= :low": self._first_value(self.low), "< :high": self._first_value(self.high, above=True)}
        given = {words: value for words, value in bounds.items() if value is not None}
        if not given:
            return {}
        return {
            "FilterExpression": " AND ".join(f"#first {words}" for words in given),
            "ExpressionAttributeNames": {"#first": self._layout.key[0]},
            "ExpressionAttributeValues": {words.split()[1]: value for words, value in given.items()},
        }

    def _first_value(self, encoded: bytes | None, *, above: bool = False) -> Attribute | None:
        """Return a bound of the first key column, if DynamoDB can be given it."""
        if not encoded or len(encoded) > MAX_KEY_BYTES:
            return None
        if pa.types.is_integer(self._layout.schema.field(self._layout.key[0]).type):
            number = int.from_bytes(encoded[:8].ljust(8, b"\x00"), "big") - (1 << 63)
            return {"N": str(number + (above and len(encoded) > 8))}
        if len(self._layout.key) > 1:
            encoded = encoded.removesuffix(b"\x00\x00")
        # Of a text with a NUL, what is before it is a bound, too: of all that begins so, and goes on with a NUL.
        text, nul, _ = encoded.partition(b"\x00")
        try:
            return {"S": text.decode() + ("\x01" if nul and above else "")} if text else None
        except UnicodeDecodeError:
            return None

    def _sort_value(self, encoded: bytes | None) -> Attribute | None:
        """Return a bound of the sort key, if DynamoDB can be given it."""
        # A longer one than any key, which DynamoDB would refuse, is only compared again.
        if not encoded or len(encoded) > MAX_KEY_BYTES:
            return None
        kind = self._layout.physical_key[1][1]
        if kind == "B":
            return {"B": encoded}
        if kind == "N":
            return {"N": str(int.from_bytes(encoded[:8], "big") - (1 << 63))} if len(encoded) == 8 else None
        try:
            return {"S": encoded.decode()}
        except UnicodeDecodeError:
            return None

    def _ordered(self, bounds: dict[str, Attribute]) -> bool:
        """Tell whether the bounds are in order, as BETWEEN needs."""
        if len(bounds) < 2:
            return True
        (low, high) = (next(iter(bound.values())) for bound in bounds.values())
        return int(low) <= int(high) if self._layout.physical_key[1][1] == "N" else low <= high

    def of(self, keys: pa.Array, rows: pa.Array) -> tuple[pa.Array, pa.Array]:
        """Return the encoded items in the range.

        Parameters
        ----------
        keys, rows
            The items.
        """
        mask = pc.greater_equal(keys, pa.scalar(self.low, pa.binary()))
        if self.high is not None:
            mask = pc.and_(mask, pc.less(keys, pa.scalar(self.high, pa.binary())))
        return keys.filter(mask), rows.filter(mask)


def _partition(start: Key | None, end: Key | None, prefix: Key | None) -> str | int | None:
    """Return the only value of the first key column in a range, if it has only one."""
    if prefix is not None:
        first, *more = prefix if isinstance(prefix, tuple) else (prefix,)
        return first if more or isinstance(first, int) else None
    if start is None or end is None:
        return None
    first, *_ = start if isinstance(start, tuple) else (start,)
    last, *more = end if isinstance(end, tuple) else (end,)
    return first if last == (first if more else following(first)) else None


def read(
    client: Client,
    name: str,
    layout: Layout,
    wanted: Range,
    *,
    segment: tuple[int, int] | None,
    batch_size: int,
    folder: Path,
) -> Iterator[pa.RecordBatch]:
    """Yield the items of a range.

    Parameters
    ----------
    client
        The client.
    name
        Name of the table in DynamoDB.
    layout
        The table's layout.
    wanted
        The range.
    segment, batch_size
        As of :meth:`NoSQLStore.scan`.
    folder
        Folder for sorted runs.
    """
    if segment is not None and not 0 <= segment[0] < segment[1]:
        raise NoSQLError(f"segment {segment[0]} of {segment[1]}: count them from 0")
    encoded = (wanted.of(*layout.encode(layout.read(page))) for page in pages(client, name, wanted, segment) if page)
    if segment is not None or len(wanted.queries()) == 1:
        blocks: Iterable[list[Item]] = (
            list(zip(*(part.to_pylist() for part in both), strict=True)) for both in encoded
        )
    else:
        blocks = merge(folder, list(write_runs(folder, encoded)))
    items = chain.from_iterable(blocks)
    while block := list(islice(items, batch_size)):
        if (batch := layout.there(block)).num_rows:
            yield batch


def pages(
    client: Client, name: str, wanted: Range, segment: tuple[int, int] | None = None
) -> Iterator[list[dict[str, Attribute]]]:
    """Yield items of DynamoDB, among which are all of a range: by queries where its partition is known.

    The segments share these queries.

    Parameters
    ----------
    client
        The client.
    name
        Name of the table in DynamoDB.
    wanted
        The range.
    segment
        As of :meth:`NoSQLStore.scan`.
    """
    if wanted.empty:
        return
    queries = wanted.queries()
    if not queries:
        yield from client.scan(name, segment, **wanted.filter())
        return
    for query in queries if segment is None else queries[segment[0] :: segment[1]]:
        for page in client.pages(client.api.query, TableName=name, ConsistentRead=True, **query):
            yield page["Items"]
