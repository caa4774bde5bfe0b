"""Encoding keys as bytes that sort like the values: strings by code point, integers by value.

An integer is encoded as eight big-endian bytes with the sign bit flipped. A string is encoded as UTF-8. If another
component follows, NUL is escaped as ``00 FF``, and ``00 00`` ends the string, so that a prefix sorts before any longer
string.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from lake_assets.nosql.contract import Key, NoSQLError

pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them

MAX_KEY_BYTES = 511
"""LMDB's limit."""

_SIGN = 1 << 63
_ESCAPED, _END = b"\x00\xff", b"\x00\x00"


_SHOWN = 40
"""Characters of a key's value that an error shows."""


class RefusedValueError(ValueError):
    """A value cannot be stored. The message names the column and the reason.

    Parameters
    ----------
    message
        The message.
    row
        The row's number in its batch, from 0. None if it is not known.
    """

    def __init__(self, message: str, row: int | None = None) -> None:
        super().__init__(message)
        self.row = row


def encode_columns(columns: Sequence[pa.Array], names: Sequence[str]) -> pa.Array:
    """Encode the key columns (int8 to int64, string) of a batch into one binary array.

    Parameters
    ----------
    columns
        The columns.
    names
        Their names, for errors.

    Raises
    ------
    RefusedValueError
        A value is null or an empty string, or the encoded key is longer than :data:`MAX_KEY_BYTES`.
    """
    for column, name in zip(columns, names, strict=True):
        if column.null_count:
            raise _refused(f"key column {name!r} contains a null", columns, names, column.is_null())
        if pa.types.is_string(column.type) and pc.any(empty := pc.equal(pc.binary_length(column), 0)).as_py():
            raise _refused(f"key column {name!r} contains an empty string", columns, names, empty)
    last = len(columns) - 1
    parts = [_encode_column(column, ends=at == last) for at, column in enumerate(columns)]
    encoded = parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, b"")
    if len(encoded) and pc.max(sizes := pc.binary_length(encoded)).as_py() > MAX_KEY_BYTES:
        what = f"key {tuple(names)} has a value of more than {MAX_KEY_BYTES} bytes"
        raise _refused(what, columns, names, pc.greater(sizes, MAX_KEY_BYTES))
    return encoded


def _refused(what: str, columns: Sequence[pa.Array], names: Sequence[str], bad: Any) -> RefusedValueError:
    """Return the error about the first bad row, with the values of its key."""
    row = pc.index(bad, True).as_py()
    shown: list[str] = []
    for column, name in zip(columns, names, strict=True):
        value = column[row].as_py()
        if value not in (None, ""):
            text = repr(value)
            shown.append(f"{name} is {text if len(text) <= _SHOWN else text[:_SHOWN] + '…'}")
    return RefusedValueError(f"{what}{' where ' + ', '.join(shown) if shown else ''}", row)


def _encode_column(column: pa.Array, *, ends: bool) -> pa.Array:
    if pa.types.is_string(column.type):
        text = column.cast(pa.binary())
        if ends:
            return text
        text = pc.replace_substring(text, b"\x00", _ESCAPED)
        return pc.binary_join_element_wise(text, pa.scalar(_END), b"")
    flipped = column.cast(pa.int64()).to_numpy().view(np.uint64) ^ np.uint64(_SIGN)
    data = pa.py_buffer(flipped.astype(">u8"))
    return pa.Array.from_buffers(pa.binary(8), len(column), [None, data]).cast(pa.binary())


def encode_key(key: Key, schema: pa.Schema, names: Sequence[str], *, prefix: bool = False) -> bytes:
    """Encode one key of a table.

    Parameters
    ----------
    key
        The key.
    schema
        The table's schema.
    names
        Names of the key columns.
    prefix
        Whether the first components are enough, as for a bound of a scan.

    Raises
    ------
    NoSQLError
        The key has another number of components than the table's key, or a component has another type.
    """
    values = key if isinstance(key, tuple) else (key,)
    if len(values) > len(names) or (len(values) < len(names) and not (prefix and values)):
        raise NoSQLError(f"key {key!r} has {len(values)} components, the table's key is {tuple(names)}")
    encoded = bytearray()
    for name, value in zip(names, values, strict=False):
        text = pa.types.is_string(schema.field(name).type)
        # Integral, since keys come from NumPy, too.
        if isinstance(value, bool) or not isinstance(value, str if text else Integral):
            raise NoSQLError(f"key column {name!r} is {schema.field(name).type}, got {value!r}")
        if not text:
            number = int(value)
            if not -_SIGN <= number < _SIGN:
                raise NoSQLError(f"key column {name!r}: {value} is not a 64-bit integer")
            encoded += (number + _SIGN).to_bytes(8, "big")
        elif name == names[-1]:
            encoded += _utf8(name, value)
        else:
            encoded += _utf8(name, value).replace(b"\x00", _ESCAPED) + _END
    return bytes(encoded)


def following(value: str | int) -> str | int | None:
    """Return the least value of a key column that is greater than another one. None if there is none.

    Parameters
    ----------
    value
        The other one.
    """
    if isinstance(value, str):
        return f"{value}\0"
    return value + 1 if value + 1 < _SIGN else None


def _utf8(name: str, value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise NoSQLError(f"key column {name!r}: {value!r} is no text: {error}") from None


def encode_prefix(key: Key, schema: pa.Schema, names: Sequence[str]) -> bytes:
    """Encode what all keys of a prefix begin with; see :meth:`NoSQLStore.scan`.

    Parameters
    ----------
    key
        The first components. The last one, if it is a string, may be the beginning of a component.
    schema
        The table's schema.
    names
        Names of the key columns.

    Raises
    ------
    NoSQLError
        There are more components than the table's key has, or one has another type.
    """
    values = key if isinstance(key, tuple) else (key,)
    encoded = encode_key(values, schema, names, prefix=True)
    # The end of a string is left out, so that a longer one begins so, too.
    return encoded[: -len(_END)] if isinstance(values[-1], str) and len(values) < len(names) else encoded


def decode_columns(keys: Sequence[bytes], types: Sequence[pa.DataType]) -> list[pa.Array]:
    """Return the key columns of encoded keys; the inverse of :func:`encode_columns`."""
    if len(types) == 1 and pa.types.is_string(types[0]):
        return [pa.array(keys, pa.binary()).cast(pa.string())]
    columns: list[list[str | int]] = [[] for _ in types]
    last = len(types) - 1
    for key in keys:
        at = 0
        for number, kind in enumerate(types):
            if pa.types.is_integer(kind):
                columns[number].append(int.from_bytes(key[at : at + 8], "big") - _SIGN)
                at += 8
            elif number == last:
                columns[number].append(key[at:].decode())
            else:
                end = _end_of_string(key, at)
                columns[number].append(key[at:end].replace(_ESCAPED, b"\x00").decode())
                at = end + len(_END)
    return [pa.array(values, kind) for values, kind in zip(columns, types, strict=True)]


def key_of(encoded: bytes, types: Sequence[pa.DataType]) -> Key:
    """Return the values of an encoded key.

    Parameters
    ----------
    encoded
        The key.
    types
        The types of its columns.
    """
    values = tuple(column[0].as_py() for column in decode_columns([encoded], types))
    return values[0] if len(values) == 1 else values


def _end_of_string(key: bytes, at: int) -> int:
    """Return the position of a string's terminator. Escaped NULs are skipped."""
    at = key.index(b"\x00", at)
    while key[at + 1] != 0:
        at = key.index(b"\x00", at + 2)
    return at
