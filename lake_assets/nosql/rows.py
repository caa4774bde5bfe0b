"""Encoding rows as msgpack arrays of the columns that are not in the key, in the order of the stored schema.

A row has no field names and no types. Whole columns are converted and then zipped, which takes about 1 µs for a row of
14 columns. A row that was written before a column was added is a shorter array, and its missing values are null.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import lru_cache
from itertools import accumulate, chain
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute

from lake_assets.nosql.keys import RefusedValueError

pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them

_encode = msgspec.msgpack.Encoder().encode
_decode: Callable[[bytes], list[Any]] = msgspec.msgpack.Decoder(list[Any]).decode

_DAY = 86_400_000_000
_FIRST, _LAST = ((day - date(1970, 1, 1)).days for day in (date.min, date.max))


@lru_cache
def row_type(width: int) -> type[Any]:
    """Return a class for the first values of a row: ``f0``, ``f1`` and so on. Those that a row lacks are null.

    Parameters
    ----------
    width
        The number of values.
    """
    # Not tracked by the garbage collector, which would look through every row.
    return msgspec.defstruct("Row", [(f"f{at}", Any, None) for at in range(width)], array_like=True, gc=False)


def row_reader(width: int) -> Callable[[bytes], Any]:
    """Return what decodes the first values of a row to a :func:`row_type`.

    Parameters
    ----------
    width
        The number of values.
    """
    return msgspec.msgpack.Decoder(row_type(width)).decode


Rank = tuple[tuple[Any, ...], bytes]


def encode_rows(columns: Mapping[str, pa.Array], row_count: int) -> list[bytes]:
    """Encode the rows of a batch.

    Parameters
    ----------
    columns
        Name to values, in the order of the schema.
    row_count
        Number of rows.

    Raises
    ------
    RefusedValueError
        A column has a time outside of the years 1 to 9999.
    """
    if not columns:
        return [_encode(())] * row_count
    values: list[list[Any]] = []
    for name, column in columns.items():
        try:
            values.append(_to_msgpack(column))
        except RefusedValueError as error:
            raise RefusedValueError(f"column {name!r} {error}") from None
    return list(map(_encode, zip(*values, strict=True)))


def decode_rows(
    rows: Sequence[bytes], types: Sequence[pa.DataType], places: Sequence[int] | None = None
) -> list[pa.Array]:
    """Return the columns of encoded rows; the inverse of :func:`encode_rows`.

    Parameters
    ----------
    rows
        The rows.
    types
        The types of all columns.
    places
        Only these columns. None for all.
    """
    if places is not None:
        part = list(map(row_reader(max(places, default=-1) + 1), rows))
        return [_from_msgpack(list(map(attrgetter(f"f{at}"), part)), types[at]) for at in places]
    width = len(types)
    decoded = [row if len(row) == width else row + [None] * (width - len(row)) for row in map(_decode, rows)]
    if not decoded:
        return [pa.array([], kind) for kind in types]
    return [_from_msgpack(list(values), kind) for values, kind in zip(zip(*decoded, strict=True), types, strict=True)]


def ranking(types: Sequence[pa.DataType], positions: Sequence[int]) -> Callable[[bytes], Rank]:
    """Return a sort key for encoded rows: the columns at ``positions``, then the bytes.

    As in Spark, null is less than every value, and NaN is greater.

    Parameters
    ----------
    types
        Types of the rows' columns.
    positions
        Positions of the columns to sort by.
    """
    width = len(types)

    def rank(row: bytes) -> Rank:
        values = _decode(row)
        if len(values) < width:
            values += [None] * (width - len(values))
            row = _encode(values)
        return tuple(_comparable(values[at], types[at]) for at in positions), row

    return rank


def _comparable(value: Any, kind: pa.DataType) -> tuple[Any, ...]:
    if value is None:
        return (0,)
    if pa.types.is_floating(kind) and math.isnan(value):
        return (2,)
    return (1, Decimal(value) if pa.types.is_decimal(kind) else value)


def _to_msgpack(column: pa.Array) -> list[Any]:
    """Convert a column to types of msgpack: dates to days, timestamps to µs, decimals to text."""
    kind = column.type
    if pa.types.is_date32(kind):
        return _within(column.view(pa.int32()), 1)
    if pa.types.is_timestamp(kind):
        return _within(column.view(pa.int64()), _DAY)
    if pa.types.is_decimal(kind):
        return [None if value is None else str(value) for value in column.to_pylist()]
    if pa.types.is_list(kind):
        values = _to_msgpack(column.flatten())
        lengths = column.value_lengths().to_pylist()
        ends = accumulate(length or 0 for length in lengths)
        return [
            None if length is None else values[end - length : end] for length, end in zip(lengths, ends, strict=True)
        ]
    if pa.types.is_struct(kind):
        present = column.is_valid().to_pylist()
        rows = zip(*map(_to_msgpack, column.flatten()), strict=True) if kind.num_fields else ((),) * len(column)
        return [row if there else None for there, row in zip(present, rows, strict=True)]
    return column.to_pylist()


def _within(numbers: pa.Array, day: int) -> list[Any]:
    """Return days or microseconds since 1970. Refuse those outside of the years that Python supports."""
    found = pc.min_max(numbers)
    least, greatest = found["min"].as_py(), found["max"].as_py()
    if least is not None and not _FIRST * day <= least <= greatest < (_LAST + 1) * day:
        raise RefusedValueError("has a time before the year 1 or after 9999: store null there, or text")
    return numbers.to_pylist()


def _from_msgpack(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_date32(kind):
        return pa.array(values, pa.int32()).view(kind)
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.int64()).view(kind)
    if pa.types.is_decimal(kind):
        return pa.array([None if value is None else Decimal(value) for value in values], kind)
    if pa.types.is_list(kind):
        inner = _from_msgpack(list(chain.from_iterable(value or () for value in values)), kind.value_type)
        offsets = [0, *accumulate(len(value or ()) for value in values)]
        marked = [None if value is None else at for value, at in zip(values, offsets[:-1], strict=True)]
        return pa.ListArray.from_arrays(pa.array([*marked, offsets[-1]], pa.int32()), inner, type=kind)
    if pa.types.is_struct(kind):
        absent = (None,) * kind.num_fields
        rows = [absent if value is None else value for value in values]
        children = [_from_msgpack([row[at] for row in rows], kind.field(at).type) for at in range(kind.num_fields)]
        mask = pa.array([value is None for value in values], pa.bool_())
        return pa.StructArray.from_arrays(children, fields=list(kind), mask=mask)
    return pa.array(values, kind)
