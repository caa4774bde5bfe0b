"""Rows as DynamoDB items: one attribute a column, of DynamoDB's own types, so that any client can read them.

A null is an absent attribute. Dates and timestamps are text of ISO 8601, which sorts. A number that DynamoDB cannot
hold (infinity, NaN, -0.0, or beyond 1e125) is text, too; the table's schema says what it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from lake_assets.nosql.contract import SchemaMismatch

Attribute = dict[str, Any]
"""A value with its type, such as ``{"S": "text"}``."""

ITEM_BYTES = 400 * 1024
"""DynamoDB's limit of an item, with the names of its attributes."""

SORT_KEY = "lake.sort-key"
"""The attribute that holds a sort key of several columns, in their order."""

SPREAD_KEY = "lake.partition-key"
"""The attribute that holds the partition key of a table whose keys are spread: the number of a part, and the value."""

EXPIRES = "lake.expires"
"""The attribute with the time in seconds at which DynamoDB removes an item."""

_RESERVED = (SORT_KEY, SPREAD_KEY, EXPIRES)
_NAME_BYTES = 255
_DEPTH = 31
_LARGEST, _SMALLEST = 1e125, 1e-129

UNREADABLE = (LookupError, ValueError, TypeError, ArithmeticError)
"""What a reader raises, or Arrow for its values, where another client wrote an attribute of another type."""

_Write = Callable[[Any], Attribute]
_Read = Callable[[Attribute], Any]


def check_names(table: str, schema: pa.Schema, key: Sequence[str]) -> None:
    """Refuse columns that DynamoDB cannot name.

    Raises
    ------
    SchemaMismatch
        A name is empty, reserved or too long, or values are nested too deeply.
    """
    for field in schema:
        if field.name in _RESERVED:
            raise SchemaMismatch(f"table {table!r}: the column name {field.name!r} is reserved: rename the column")
        if field.name in key and len(field.name.encode()) > _NAME_BYTES:
            raise SchemaMismatch(f"table {table!r}: key column {field.name!r} has a name of over {_NAME_BYTES} bytes")
        _check_field(table, field, field.name, 0)


def _check_field(table: str, field: pa.Field, column: str, depth: int) -> None:
    if not field.name:
        raise SchemaMismatch(f"table {table!r}: column {column!r} has an empty name, or a field with one: rename it")
    if depth > _DEPTH:
        raise SchemaMismatch(f"table {table!r}: column {column!r} is nested more than {_DEPTH} levels deep")
    if pa.types.is_list(field.type):
        _check_field(table, field.type.value_field, column, depth + 1)
    elif pa.types.is_struct(field.type):
        for inner in field.type:
            _check_field(table, inner, column, depth + 1)


def writer(kind: pa.DataType) -> _Write:
    """Return the function from a Python value, which is not None, to an attribute.

    Parameters
    ----------
    kind
        The column's type.
    """
    if pa.types.is_boolean(kind):
        return lambda value: {"BOOL": value}
    if pa.types.is_integer(kind):
        return lambda value: {"N": str(value)}
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _number
    if pa.types.is_string(kind):
        return lambda value: {"S": value}
    if pa.types.is_binary(kind):
        return lambda value: {"B": value}
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return lambda value: {"S": value.isoformat()}
    if pa.types.is_list(kind):
        inner = writer(kind.value_type)
        return lambda values: {"L": [{"NULL": True} if value is None else inner(value) for value in values]}
    fields = {field.name: writer(field.type) for field in kind}
    return lambda value: {"M": {name: fields[name](part) for name, part in value.items() if part is not None}}


def reader(kind: pa.DataType) -> _Read:
    """Return the function from an attribute to a Python value; the inverse of :func:`writer`.

    It raises one of :data:`UNREADABLE` for an attribute that no writer of the column makes.

    Parameters
    ----------
    kind
        The column's type.
    """
    if pa.types.is_boolean(kind):
        return lambda found: found["BOOL"]
    if pa.types.is_integer(kind):
        return lambda found: int(found["N"])
    if pa.types.is_floating(kind):
        return lambda found: float(found.get("N") or found["S"])
    if pa.types.is_decimal(kind):
        return lambda found: Decimal(found.get("N") or found["S"])
    if pa.types.is_date(kind):
        return lambda found: date.fromisoformat(found["S"])
    if pa.types.is_timestamp(kind):
        return lambda found: datetime.fromisoformat(found["S"])
    if pa.types.is_list(kind):
        inner = reader(kind.value_type)
        return lambda found: [read_or_null(inner, value) for value in found["L"]]
    if pa.types.is_struct(kind):
        fields = {field.name: reader(field.type) for field in kind}

        def read_struct(found: Attribute) -> dict[str, Any]:
            parts = found["M"]
            return {name: read_or_null(read, parts.get(name)) for name, read in fields.items()}

        return read_struct
    if pa.types.is_binary(kind):
        return lambda found: found["B"]
    return lambda found: found["S"]


def read_or_null(read: _Read, found: Attribute | None) -> Any:
    """Return the value of an attribute. None if it is absent or null.

    Parameters
    ----------
    read
        A :func:`reader`.
    found
        The attribute. None if it is absent.
    """
    return None if found is None or "NULL" in found else read(found)


def size_of(item: Mapping[str, Attribute]) -> int:
    """Return the bytes of an item as DynamoDB counts them, or a few more.

    Parameters
    ----------
    item
        Name to attribute.
    """
    return sum(len(name.encode()) + _size(value) for name, value in item.items())


def _size(attribute: Attribute) -> int:
    ((kind, value),) = attribute.items()
    if kind == "S":
        return len(value.encode())
    if kind == "B":
        return len(value)
    if kind == "N":
        return min(21, len(value) // 2 + 2)
    if kind == "L":
        return 3 + sum(1 + _size(part) for part in value)
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + _size(part) for name, part in value.items())
    return 1


def same_items(one: Mapping[str, Attribute], other: Mapping[str, Attribute]) -> bool:
    """Tell whether two items are equal. DynamoDB answers numbers in a way of its own, such as 1 for 1.0.

    Parameters
    ----------
    one, other
        Name to attribute.
    """
    return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())


def _same(one: Attribute, other: Attribute) -> bool:
    (kind, value), (other_kind, found) = *one.items(), *other.items()
    if kind != other_kind:
        return False
    if kind == "N":
        return Decimal(value) == Decimal(found)
    if kind == "L":
        return len(value) == len(found) and all(map(_same, value, found))
    return same_items(value, found) if kind == "M" else value == found


def _number(value: float | Decimal) -> Attribute:
    zero = value == 0
    held = math.isfinite(value) and (zero or _SMALLEST <= abs(value) < _LARGEST)
    if zero and math.copysign(1, value) < 0:
        held = False
    text = repr(value) if isinstance(value, float) else str(value)
    return {"N" if held else "S": text}
