"""Combining incoming rows with stored ones: an update of columns, and counters."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from decimal import Context, Decimal
from itertools import repeat
from operator import add, attrgetter
from typing import Any, cast

import msgspec
import pyarrow as pa

from lake_assets.nosql.errors import SchemaMismatch
from lake_assets.nosql.rows import row_reader, row_type

_encode = msgspec.msgpack.Encoder().encode
_EXACT = Context(prec=80)  # Python's own one rounds beyond 28 digits.


class Combination:
    """Combines encoded rows, many at a time.

    Parameters
    ----------
    table
        Name of the table, for errors.
    columns
        The table's columns that are not in its key, after the write.
    incoming
        Names of those that an incoming row has, in its order.
    partial
        Whether the other columns keep their stored values.
    counters
        Names of the columns that are added.
    """

    def __init__(
        self, table: str, columns: Sequence[pa.Field], incoming: Sequence[str], partial: bool, counters: Sequence[str]
    ) -> None:
        self._table, self._partial, self._counters = table, partial, frozenset(counters)
        self._types = {field.name: field.type for field in columns}
        self._places = {field.name: at for at, field in enumerate(columns)}
        places = {name: f"f{at}" for name, at in self._places.items()}
        # Where each column is in an incoming row, which has no others if it is partial, and in a stored one.
        read_at = {name: f"f{at}" for at, name in enumerate(incoming)} if partial else places
        self._incoming = [(name, read_at[name], places[name]) for name in incoming]
        self._row, self._read = row_type(len(columns)), row_reader(len(columns))
        self._read_new = row_reader(len(incoming)) if partial else self._read

    @property
    def does_something(self) -> bool:
        """Whether a row may be written otherwise than it came."""
        return self._partial or bool(self._counters)

    def of(self, stored: Sequence[bytes | None], new: Sequence[bytes], *, count: bool = True) -> list[bytes]:
        """Return what is written.

        Parameters
        ----------
        stored
            The stored row of each new one, or None.
        new
            The incoming rows.
        count
            Whether counters are added. Otherwise they are replaced.
        """
        counters = [one for one in self._incoming if count and one[0] in self._counters]
        if not self._partial and (not counters or not any(stored)):
            return list(new)
        rows = list(map(self._read_new, new))
        if self._partial:
            before = after = self._before(self._read, stored)
        else:
            read = row_reader(1 + max(self._places[name] for name, _, _ in counters))
            before, after = self._before(read, stored), rows
        for name, its, place in self._incoming if self._partial else counters:
            values = list(map(attrgetter(its), rows))
            if count and name in self._counters:
                values = self._sums(name, list(map(attrgetter(place), before)), values)
            # Without a loop of Python's, which takes three times as long.
            deque(map(setattr, after, repeat(place), values), maxlen=0)
        return list(map(_encode, after))

    def _before(self, read: Callable[[bytes], Any], stored: Sequence[bytes | None]) -> list[Any]:
        """Return the stored rows; an empty one for none."""
        if None in stored:
            return [self._row() if row is None else read(row) for row in stored]
        return list(map(read, cast(Sequence[bytes], stored)))

    def _sums(self, name: str, old: list[Any], new: list[Any]) -> list[Any]:
        """Return the sums of a column. A null is no summand."""
        kind = self._types[name]
        sums = _add_decimals(old, new) if pa.types.is_decimal(kind) else _add(old, new)
        if pa.types.is_float32(kind):
            return pa.array(sums, pa.float64()).cast(kind, safe=False).to_pylist()
        if not _fits(sums, kind):
            raise SchemaMismatch(f"table {self._table!r}: counter {name!r} exceeds its type {kind}")
        return sums


def _add(old: list[Any], new: list[Any]) -> list[Any]:
    if None not in old and None not in new:
        return list(map(add, old, new))
    return [
        after if before is None else before if after is None else before + after
        for before, after in zip(old, new, strict=True)
    ]


def _add_decimals(old: list[Any], new: list[Any]) -> list[Any]:
    return [
        after if before is None else before if after is None else str(_EXACT.add(Decimal(before), Decimal(after)))
        for before, after in zip(old, new, strict=True)
    ]


def _fits(values: list[Any], kind: pa.DataType) -> bool:
    there = [value for value in values if value is not None] if None in values else values
    if not there or pa.types.is_floating(kind):
        return True
    if pa.types.is_decimal(kind):
        largest = max(abs(Decimal(value)) for value in there)
        return _EXACT.scaleb(largest, kind.scale) < 10**kind.precision
    limit = 1 << kind.bit_width - 1
    return -limit <= min(there) and max(there) < limit
