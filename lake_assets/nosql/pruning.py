"""What a filter says of the key: the range of keys that it can be true for. The filter itself is applied after it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lake_assets.nosql.errors import NoSQLError
from lake_assets.nosql.expression import connected, syntax
from lake_assets.nosql.keys import encode_key

Node = dict[str, Any]
Bound = tuple[str, str | int]
"""``=``, ``<=`` or ``>=``, and a value. The bounds include more than the filter where it excludes its value."""

_INCLUSIVE = {
    "COMPARE_EQUAL": "=",
    "COMPARE_LESSTHAN": "<=",
    "COMPARE_LESSTHANOREQUALTO": "<=",
    "COMPARE_GREATERTHAN": ">=",
    "COMPARE_GREATERTHANOREQUALTO": ">=",
}
_MIRRORED = {"=": "=", "<=": ">=", ">=": "<="}


@dataclass(frozen=True, slots=True)
class KeyRange:
    """A range of encoded keys.

    Parameters
    ----------
    low
        The least key.
    high
        The key before which it ends. None if it does not.
    partition
        The only value of the first key column. None if there can be several.
    """

    low: bytes = b""
    high: bytes | None = None
    partition: str | int | None = None


def key_range(where: str | None, schema: pa.Schema, key: Sequence[str]) -> KeyRange:
    """Return the range of keys that a filter can be true for.

    Parameters
    ----------
    where
        The filter. None for all keys.
    schema
        The table's columns.
    key
        Names of the key columns.
    """
    if not where:
        return KeyRange()
    bounds = _bounds(where, schema, key)
    prefix: list[str | int] = []
    for name in key:
        equal = [value for sign, value in bounds.get(name, ()) if sign == "="]
        if not equal:
            break
        prefix.append(equal[0])
    rest = bounds.get(key[len(prefix)], []) if len(prefix) < len(key) else []
    least = max((value for sign, value in rest if sign == ">="), default=None)
    most = min((value for sign, value in rest if sign == "<="), default=None)

    def encoded(*last: Any) -> bytes:
        values = (*prefix, *last)
        return encode_key(values, schema, key, prefix=True) if values else b""

    try:
        low = encoded() if least is None else encoded(least)
        high = after_prefix(encoded() if most is None else encoded(most))
    except NoSQLError:  # A number that no key has. The filter decides.
        return KeyRange()
    return KeyRange(low, high, prefix[0] if prefix else None)


def after_prefix(prefix: bytes) -> bytes | None:
    """Return the least key that is greater than all with a prefix. None if there is none.

    Parameters
    ----------
    prefix
        The encoded prefix.
    """
    trimmed = prefix.rstrip(b"\xff")
    return trimmed[:-1] + bytes([trimmed[-1] + 1]) if trimmed else None


def _bounds(where: str, schema: pa.Schema, key: Sequence[str]) -> dict[str, list[Bound]]:
    """Return the bounds of key columns that a filter's comparisons with constants give."""
    tree: Node = syntax(f"SELECT 1 WHERE ({where}\n)", connected())
    bounds: dict[str, list[Bound]] = {}
    if tree.get("error") or len(tree["statements"]) != 1:
        return bounds
    for name, sign, value in _comparisons(tree["statements"][0]["node"].get("where_clause") or {}):
        # SQL does not tell names apart by case.
        named = [column for column in schema.names if column.lower() == name.lower()]
        if len(named) != 1 or named[0] not in key:
            continue
        text = pa.types.is_string(schema.field(named[0]).type)
        if isinstance(value, str) == text and value != "":
            bounds.setdefault(named[0], []).append((sign, value))
    return bounds


def _comparisons(node: Node) -> Iterator[tuple[str, str, str | int]]:
    """Yield the comparisons that all hold where a filter does."""
    kind = node.get("type", "")
    if kind == "CONJUNCTION_AND":
        for child in node["children"]:
            yield from _comparisons(child)
    elif kind == "COMPARE_BETWEEN":
        column, low, high = _column(node["input"]), _constant(node["lower"]), _constant(node["upper"])
        if column is not None and low is not None and high is not None:
            yield from ((column, ">=", low), (column, "<=", high))
    elif kind in _INCLUSIVE:
        sign = _INCLUSIVE[kind]
        for one, other, meant in ((node["left"], node["right"], sign), (node["right"], node["left"], _MIRRORED[sign])):
            column, value = _column(one), _constant(other)
            if column is not None and value is not None:
                yield column, meant, value


def _column(node: Node) -> str | None:
    names = node.get("column_names", ())
    return names[0] if node.get("type") == "COLUMN_REF" and len(names) == 1 else None


def _constant(node: Node) -> str | int | None:
    literal = node.get("literal", {}) if node.get("type") == "VALUE_CONSTANT" else {}
    kind, text = literal.get("kind"), literal.get("text", "")
    if kind == "STRING":
        return text
    return int(text) if kind == "INTEGER" and re.fullmatch("-?[0-9]+", text) else None
