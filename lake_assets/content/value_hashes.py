"""Two 64-bit hashes for each value of an Arrow array. NumPy computes them for whole arrays.

The hashes depend only on the values. Arrow's variant of a type, offsets, slices, dictionaries and the bytes under a
null do not matter. For values of a fixed width, both hashes are the same bijection of the bits, and a null has two
different hashes. So two different values of a fixed width never have the same pair of hashes.

Which values are equal:

- All NaNs are equal. -0.0 and 0.0 differ, since their signs and texts differ.
- Timestamps are compared by their microseconds, in UTC if they have a time zone, and by any further nanoseconds.
- Structs are compared by the names of their fields. The order of the fields does not matter.
- Maps are compared without the order of their entries.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import pyarrow

Words: TypeAlias = np.ndarray[Any, np.dtype[np.uint64]]
Places: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

# The C library returns the memory of a freed array to the system at once, and half of the time was spent on paging in
# new arrays. After a larger array was freed, it keeps the memory.
np.empty(16 << 20, np.uint8)

_SHORT = 64
"""Longer texts, in bytes, are hashed one by one with BLAKE2."""
_SAMPLE = 1024
"""The number of values that are examined to find out whether the texts of a column repeat."""


class Hashes(NamedTuple):
    """Two hashes for each value of an array.

    Parameters
    ----------
    first
        The first hashes.
    second
        The second hashes.
    """

    first: Words
    second: Words


@cache
def _salt(*names: str) -> np.uint64:
    """Return an odd number that is derived from some names."""
    digest = hashlib.blake2b(json.dumps(names).encode(), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little") | 1)


_NULL = _salt("null", "first"), _salt("null", "second")
_START = _salt("start", "first"), _salt("start", "second")
_STEP = _salt("step", "first"), _salt("step", "second")
_MAP_KEY = _salt("map key", "first"), _salt("map key", "second")
_NANOSECOND = _salt("nanosecond", "first"), _salt("nanosecond", "second")
_POSITION = _salt("position")
_MASKS = np.array([(1 << 8 * size) - 1 for size in range(9)], np.uint64)


def value_hashes(array: pyarrow.Array) -> Hashes:
    """Return two hashes for each value of an array.

    Parameters
    ----------
    array
        The values.

    Raises
    ------
    NoLogicalType
        The type of the array has no logical type.
    """
    from pyarrow import types

    if types.is_dictionary(array.type):
        return _of_dictionary(array)
    array = _plain(array)
    hashes = _of_values(array) if len(array) else Hashes(np.empty(0, np.uint64), np.empty(0, np.uint64))
    if not array.null_count:
        return hashes
    null = array.is_null().to_numpy(zero_copy_only=False)
    second = hashes.second.copy() if hashes.second is hashes.first else hashes.second
    hashes.first[null], second[null] = _NULL
    return Hashes(hashes.first, second)


def hashes_by_part(array: pyarrow.Array) -> Callable[[int, int], Hashes]:
    """Return a function that hashes a part of an array, given its start and length.

    Repeated texts are hashed once.

    Parameters
    ----------
    array
        The values.
    """
    from pyarrow import types

    if types.is_string(array.type) or types.is_large_string(array.type):
        array = array.dictionary_encode() if _repeats(array) else array
    if not types.is_dictionary(array.type) or len(array.dictionary) > len(array):
        return lambda start, length: value_hashes(array.slice(start, length))
    values = _with_null(array.dictionary)
    return lambda start, length: _at(values, array.indices.slice(start, length))


def row_hashes(names: Iterable[str], columns: Iterable[Hashes], rows: int) -> Hashes:
    """Return two hashes for each row. The order of the columns does not matter.

    Parameters
    ----------
    names
        The column names.
    columns
        The hashes of the values of each column.
    rows
        The number of rows.
    """
    first, second = np.full(rows, _START[0]), np.full(rows, _START[1])
    scratch = np.empty(rows, np.uint64)
    for name, hashes in zip(names, columns, strict=True):
        first += np.multiply(hashes.first, _salt("column", name, "first"), out=scratch)
        second += np.multiply(hashes.second, _salt("column", name, "second"), out=scratch)
    return Hashes(_mix(first), _mix(second))


def _of_values(array: pyarrow.Array) -> Hashes:
    """Return the hashes of a plain array. The hashes of nulls are arbitrary."""
    import pyarrow
    from pyarrow import types

    kind = array.type
    if types.is_null(kind):
        return Hashes(np.empty(len(array), np.uint64), np.empty(len(array), np.uint64))
    if types.is_large_string(kind) or types.is_large_binary(kind) or types.is_string(kind) or types.is_binary(kind):
        return _of_bytes(array)
    if types.is_decimal(kind):
        return _of_decimals(array)
    if isinstance(array, pyarrow.StructArray):
        names = [field.name for field in kind]
        return row_hashes(names, (value_hashes(array.field(index)) for index in range(len(names))), len(array))
    if isinstance(array, pyarrow.MapArray):
        return _of_maps(array)
    if types.is_large_list(kind) or types.is_list(kind):
        return _of_lists(array)
    if types.is_timestamp(kind) or types.is_time(kind) or types.is_duration(kind):
        return _of_times(array)
    words = _spread(_words(array))
    return Hashes(words, words)


def _spread(words: Words) -> Words:
    """Scramble words in place by a bijection, well enough for the products and sums that follow."""
    scratch = words >> np.uint64(32)
    words ^= scratch
    words *= np.uint64(0xFF51AFD7ED558CCD)
    words ^= np.right_shift(words, np.uint64(29), out=scratch)
    return words


def _mix(words: Words) -> Words:
    """Scramble words in place by a bijection: MurmurHash3's finalizer."""
    scratch = words >> np.uint64(33)
    words ^= scratch
    words *= np.uint64(0xFF51AFD7ED558CCD)
    words ^= np.right_shift(words, np.uint64(33), out=scratch)
    words *= np.uint64(0xC4CEB9FE1A85EC53)
    words ^= np.right_shift(words, np.uint64(33), out=scratch)
    return words


def _plain(array: pyarrow.Array) -> pyarrow.Array:
    """Return the same values in the simplest of Arrow's types for them."""
    import pyarrow
    from pyarrow import compute, types

    if isinstance(array, pyarrow.ExtensionArray):
        return _plain(array.storage)
    kind = array.type
    if types.is_run_end_encoded(kind):
        return _plain(compute.call_function("run_end_decode", [array]))
    if types.is_dictionary(kind):
        return _plain(array.dictionary_decode())
    if types.is_string_view(kind):
        return array.cast(pyarrow.large_string())
    if types.is_binary_view(kind) or types.is_fixed_size_binary(kind):
        return array.cast(pyarrow.large_binary())
    if types.is_boolean(kind):
        return array.cast(pyarrow.uint8())
    if types.is_date64(kind):
        return array.cast(pyarrow.date32())
    if types.is_list_view(kind) or types.is_large_list_view(kind):
        # Arrow's own cast returns wrong values if a list is null.
        lengths = array.value_lengths().fill_null(0).to_numpy()
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        return pyarrow.LargeListArray.from_arrays(offsets, array.flatten(), mask=array.is_null())
    if types.is_fixed_size_list(kind):
        return array.cast(pyarrow.large_list(kind.value_type))
    return array


def _of_dictionary(array: pyarrow.DictionaryArray) -> Hashes:
    if len(array.dictionary) > len(array):
        return value_hashes(array.dictionary_decode())
    return _at(_with_null(array.dictionary), array.indices)


def _with_null(values: pyarrow.Array) -> Hashes:
    """Return the hashes of a dictionary's values, followed by those of null."""
    first, second = value_hashes(values)
    return Hashes(np.append(first, _NULL[0]), np.append(second, _NULL[1]))


def _at(values: Hashes, indices: pyarrow.Array) -> Hashes:
    places = indices.fill_null(len(values.first) - 1) if indices.null_count else indices
    places = places.to_numpy().astype(np.int64)
    return Hashes(values.first[places], values.second[places])


def _repeats(array: pyarrow.Array) -> bool:
    """Return whether a sample holds many values more than once."""
    if len(array) < 4 * _SAMPLE:
        return False
    sample = array.take(np.arange(_SAMPLE) * (len(array) // _SAMPLE))
    return len(sample.unique()) <= _SAMPLE * 3 // 4


def _buffer(array: pyarrow.Array, number: int, dtype: str, extra: int = 0) -> np.ndarray[Any, Any]:
    """Return the part of a buffer that belongs to an array."""
    return np.frombuffer(array.buffers()[number], dtype)[array.offset : array.offset + len(array) + extra]


def _words(array: pyarrow.Array) -> Words:
    """Return numbers and dates as new words of 64 bits."""
    from pyarrow import types

    kind, size = array.type, array.type.bit_width // 8
    if types.is_floating(kind):
        numbers = _buffer(array, 1, f"<f{size}")
        if types.is_float16(kind):
            numbers, size = numbers.astype("<f4"), 4
        bits = numbers.view(f"<u{size}").astype(np.uint64)
        nan = np.isnan(numbers)
        if nan.any():
            bits[nan] = np.array(np.nan, f"<f{size}").view(f"<u{size}")
        return bits
    numbers = _buffer(array, 1, f"<{'u' if types.is_unsigned_integer(kind) else 'i'}{size}")
    # A negative number of any width has the same word as the same number in 64 bits.
    return numbers.astype(np.uint64)


def _of_times(array: pyarrow.Array) -> Hashes:
    import pyarrow
    from pyarrow import types

    kind: Any = array.type
    if kind.unit == "ns":
        ticks = _buffer(array, 1, "<i8")
        whole = ticks // 1000
        rest = (ticks - whole * 1000).astype(np.uint64)
    else:
        finer = pyarrow.time64("us") if types.is_time(kind) else pyarrow.duration("us")
        if types.is_timestamp(kind):
            finer = pyarrow.timestamp("us", kind.tz)
        whole, rest = _buffer(array.cast(finer), 1, "<i8"), None
    words = _spread(whole.astype(np.uint64))
    if rest is None or not rest.any():
        return Hashes(words, words)
    return Hashes(words + rest * _NANOSECOND[0], words + rest * _NANOSECOND[1])


def _of_decimals(array: pyarrow.Array) -> Hashes:
    import pyarrow

    kind: Any = array.type
    if kind.precision <= 38:
        array = array.cast(pyarrow.decimal128(kind.precision, kind.scale))
    width = array.type.byte_width // 8
    words = np.frombuffer(array.buffers()[1], "<u8").reshape(-1, width)[array.offset : array.offset + len(array)]
    first, second = np.full(len(array), _START[0]), np.full(len(array), _START[1])
    for place in range(width):
        _absorb(first, second, words[:, place])
    return Hashes(_mix(first), _mix(second))


def _absorb(first: Words, second: Words, words: Words) -> Hashes:
    """Add the next word of each value to its hashes, in place. Different hashes stay different for equal words."""
    first ^= words
    first *= _STEP[0]
    first ^= first >> np.uint64(32)
    second += words
    second *= _STEP[1]
    second ^= second >> np.uint64(29)
    return Hashes(first, second)


def _of_bytes(array: pyarrow.Array) -> Hashes:
    from pyarrow import types

    wide = types.is_large_string(array.type) or types.is_large_binary(array.type)
    offsets = _buffer(array, 1, "<i8" if wide else "<i4", extra=1).astype(np.int64)
    lengths, starts = np.diff(offsets), offsets[:-1] - offsets[0]
    texts = array.buffers()[2]
    size = int(offsets[-1] - offsets[0])
    data = (texts.slice(int(offsets[0]), size).to_pybytes() if size else b"") + bytes(8)
    sizes = lengths.astype(np.uint64)
    first, second = sizes * _START[0], sizes * _START[1]
    # A view with a word at each byte. NumPy can read unaligned words.
    loads = np.ndarray((size + 1,), "<u8", data, strides=(1,))
    shortest, longest = int(lengths.min()), int(lengths.max())
    for place in range(0, min(longest, _SHORT), 8):
        if shortest == longest <= _SHORT:
            _absorb(first, second, loads[place::longest][: len(array)] & _MASKS[min(longest - place, 8)])
        else:
            some = np.flatnonzero((lengths > place) & (lengths <= _SHORT))
            words = loads[starts[some] + place] & _MASKS[np.minimum(lengths[some] - place, 8)]
            first[some], second[some] = _absorb(first[some], second[some], words)
    if longest > _SHORT:
        long = np.flatnonzero(lengths > _SHORT)
        places = zip(starts[long].tolist(), lengths[long].tolist(), strict=True)
        digests = [_digest(data[start : start + length]) for start, length in places]
        first[long], second[long] = np.frombuffer(b"".join(digests), "<u8").reshape(-1, 2).T
    return Hashes(_mix(first), _mix(second))


_BLAKE2 = hashlib.blake2b(digest_size=16)


def _digest(text: bytes) -> bytes:
    # A copy takes less time than a new one with its arguments.
    digest = _BLAKE2.copy()
    digest.update(text)
    return digest.digest()


def _of_lists(array: pyarrow.ListArray) -> Hashes:
    offsets, lengths = _offsets(array)
    hashes = value_hashes(array.values[offsets[0] : offsets[-1]])
    places = np.arange(offsets[-1] - offsets[0]) - np.repeat(offsets[:-1] - offsets[0], lengths)
    places = _mix(places.astype(np.uint64) + _POSITION)
    return _of_sums(offsets, lengths, _mix(hashes.first ^ places), _mix(hashes.second + places))


def _of_maps(array: pyarrow.MapArray) -> Hashes:
    offsets, lengths = _offsets(array)
    keys = value_hashes(array.keys[offsets[0] : offsets[-1]])
    items = value_hashes(array.items[offsets[0] : offsets[-1]])
    first = keys.first * _MAP_KEY[0] + items.first * _STEP[0]
    second = keys.second * _MAP_KEY[1] + items.second * _STEP[1]
    return _of_sums(offsets, lengths, _mix(first), _mix(second))


def _offsets(array: pyarrow.ListArray) -> tuple[Places, Places]:
    """Return the offsets of the lists, and their lengths."""
    from pyarrow import types

    offsets = _buffer(array, 1, "<i8" if types.is_large_list(array.type) else "<i4", extra=1).astype(np.int64)
    return offsets, np.diff(offsets)


def _of_sums(offsets: Places, lengths: Places, first: Words, second: Words) -> Hashes:
    """Return the hashes of lists from those of their elements."""
    sizes = lengths.astype(np.uint64)
    sums: list[Words] = []
    for words, start in ((first, _START[0]), (second, _START[1])):
        running = np.zeros(len(words) + 1, np.uint64)
        np.cumsum(words, out=running[1:])
        edges = running[offsets - offsets[0]]
        sums.append(_mix(np.diff(edges) + sizes * start))
    return Hashes(*sums)
