"""When items expire: the column of timestamps that ``ttl`` names."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute

pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them

_decode: Callable[[bytes], list[Any]] = msgspec.msgpack.Decoder(list[Any]).decode


def now() -> int:
    """Return the time in microseconds since 1970."""
    return time.time_ns() // 1000


class Expiry:
    """Tells of encoded rows when they expire.

    Parameters
    ----------
    place
        Place of the column among those that are not in the key.
    """

    def __init__(self, place: int) -> None:
        self._place = place
        self._now = now()

    def at(self, row: bytes) -> int | None:
        """Return when a row expires, in microseconds since 1970. None if it does not.

        Parameters
        ----------
        row
            The encoded row.
        """
        values = _decode(row)
        return values[self._place] if self._place < len(values) else None

    def over(self, row: bytes) -> bool:
        """Tell whether a row has expired.

        Parameters
        ----------
        row
            The encoded row.
        """
        at = self.at(row)
        return at is not None and at <= self._now


def unexpired(batch: pa.RecordBatch, ttl: str | None) -> pa.RecordBatch:
    """Return the items of a batch that have not expired.

    Parameters
    ----------
    batch
        The items.
    ttl
        Name of the column. None if no item expires.
    """
    if ttl is None:
        return batch
    over = pc.less_equal(batch.column(ttl).cast(pa.int64()), pa.scalar(now()))
    return batch.filter(pc.fill_null(pc.invert(over), True))
