"""Reading a range of a table within a transaction."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from zlib import crc32

import pyarrow as pa

from lake_assets.nosql.contract import Key, NoSQLError
from lake_assets.nosql.expiry import unexpired
from lake_assets.nosql.keys import decode_columns, encode_key, encode_prefix
from lake_assets.nosql.pruning import after_prefix, key_range
from lake_assets.nosql.rows import decode_rows
from lake_assets.nosql.runs import Item
from lake_assets.nosql.table_schema import TableRecord

if TYPE_CHECKING:
    import lmdb

_key_of = itemgetter(0)


class Layout:
    """Converts a table's stored items to Arrow columns.

    Parameters
    ----------
    record
        The table's description.
    columns
        Only these columns are decoded, at least one, and what tells of an expiry. None for all.
    """

    def __init__(self, record: TableRecord, columns: Sequence[str] | None = None) -> None:
        whole = record.arrow_schema
        self._ttl = record.ttl
        width = len(record.key)
        # Without a column, a batch would have no number of rows.
        wanted = whole.names if columns is None else {*(columns or whole.names[:1]), record.ttl}
        places = [at for at, name in enumerate(whole.names) if name in wanted]
        self.schema = pa.schema([whole.field(at) for at in places])
        self._in_key = [at for at in places if at < width]
        self._in_row = [at - width for at in places if at >= width]
        self._key_types, self._row_types = whole.types[:width], whole.types[width:]

    def batch(self, items: Sequence[Item]) -> pa.RecordBatch:
        """Return items as a batch, without those that have expired.

        Parameters
        ----------
        items
            Keys and rows.
        """
        return unexpired(self.whole(items), self._ttl)

    def whole(self, items: Sequence[Item]) -> pa.RecordBatch:
        """Return items as a batch.

        Parameters
        ----------
        items
            Keys and rows.
        """
        keys, rows = zip(*items, strict=True)
        columns: list[pa.Array] = []
        if self._in_key:
            decoded = decode_columns(keys, self._key_types)
            columns += [decoded[at] for at in self._in_key]
        if self._in_row:
            whole = len(self._in_row) == len(self._row_types)
            columns += decode_rows(rows, self._row_types, None if whole else self._in_row)
        return pa.record_batch(columns, schema=self.schema)


class Range:
    """A range of keys.

    Parameters
    ----------
    record
        The table's description.
    start, end, prefix, where
        As of :meth:`NoSQLStore.scan`.
    """

    def __init__(
        self, record: TableRecord, start: Key | None, end: Key | None, prefix: Key | None, where: str | None
    ) -> None:
        self.schema = record.arrow_schema
        low, high = (
            None if bound is None else encode_key(bound, self.schema, record.key, prefix=True) for bound in (start, end)
        )
        begin = b"" if prefix is None else encode_prefix(prefix, self.schema, record.key)
        pruned = key_range(where, self.schema, record.key)
        self._low = max(low or b"", begin, pruned.low)
        self._high = _least([high, after_prefix(begin), pruned.high])

    def blocks(
        self, transaction: lmdb.Transaction[bytes], items: Any, segment: tuple[int, int] | None, size: int
    ) -> Iterator[list[Item]]:
        """Yield the items in key order, in blocks.

        Parameters
        ----------
        transaction
            The transaction.
        items
            Handle of the table's database.
        segment
            As of :meth:`NoSQLStore.scan`.
        size
            Maximal number of items in a block.
        """
        if segment is not None and not 0 <= segment[0] < segment[1]:
            raise NoSQLError(f"segment {segment[0]} of {segment[1]}: count them from 0")
        cursor = transaction.cursor(items)
        found = cursor.set_range(self._low) if self._low else cursor.first()
        pairs = cursor.iternext() if found else iter(())
        while block := list(islice(pairs, size)):
            wanted = block if self._high is None else block[: bisect_left(block, self._high, key=_key_of)]
            ended = len(wanted) < len(block)
            if segment is not None:
                # By a hash of the key, so that segments fit together though items are written in between.
                number, count = segment
                wanted = [item for item in wanted if crc32(item[0]) % count == number]
            if wanted:
                yield wanted
            if ended:
                return


def _least(bounds: Sequence[bytes | None]) -> bytes | None:
    return min((bound for bound in bounds if bound is not None), default=None)
