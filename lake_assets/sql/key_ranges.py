"""The range of keys that a query reads of a table, so that the store reads no more than that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lake_assets.sql.syntax import Node, nodes

KeyValue = str | int


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Values of a table's first key column: from ``start``, and before ``end``. None is no bound."""

    start: KeyValue | None = None
    end: KeyValue | None = None


EVERYTHING = KeyRange()

_LARGEST = (1 << 63) - 1
"""The largest integer that is a key."""

_MIRRORED = {
    "COMPARE_EQUAL": "COMPARE_EQUAL",
    "COMPARE_LESSTHAN": "COMPARE_GREATERTHAN",
    "COMPARE_LESSTHANOREQUALTO": "COMPARE_GREATERTHANOREQUALTO",
    "COMPARE_GREATERTHAN": "COMPARE_LESSTHAN",
    "COMPARE_GREATERTHANOREQUALTO": "COMPARE_LESSTHANOREQUALTO",
}


def conditions(tree: Node) -> dict[int, Node]:
    """Return the WHERE of each table that a SELECT reads alone, by the ``id`` of the table's node.

    Parameters
    ----------
    tree
        The tree.
    """
    return {
        id(node["from_table"]): node["where_clause"]
        for node in nodes(tree)
        if node.get("type") == "SELECT_NODE" and node["where_clause"] and _is_alone(node["from_table"])
    }


def key_range(condition: Node, called: str, column: str, kind: type[KeyValue]) -> KeyRange:
    """Return the range outside of which no row meets a condition.

    Parameters
    ----------
    condition
        The WHERE.
    called
        What the query calls the table.
    column
        The table's first key column.
    kind
        The type of its values.
    """
    names = ([column.lower()], [called.lower(), column.lower()])
    starts: list[Any] = []
    ends: list[Any] = []
    for operator, named, constant in _comparisons(condition):
        value = _constant(constant, kind)
        if value is None or [name.lower() for name in named.get("column_names", ())] not in names:
            continue
        if operator in ("COMPARE_EQUAL", "COMPARE_GREATERTHAN", "COMPARE_GREATERTHANOREQUALTO"):
            starts.append(value)
        if operator == "COMPARE_LESSTHAN":
            ends.append(value)
        if operator in ("COMPARE_EQUAL", "COMPARE_LESSTHANOREQUALTO") and value != _LARGEST:
            ends.append(value + 1 if isinstance(value, int) else f"{value}\0")
    return KeyRange(max(starts, default=None), min(ends, default=None))


def _is_alone(table: Node) -> bool:
    return table["type"] == "BASE_TABLE" and not table["sample"] and not table["column_name_alias"]


def _comparisons(condition: Node) -> Iterator[tuple[str, Node, Node]]:
    """Yield operator, left and right of all comparisons that a row must meet, each in both directions."""
    kind = condition["type"]
    if kind == "CONJUNCTION_AND":
        for part in condition["children"]:
            yield from _comparisons(part)
    elif kind in _MIRRORED:
        yield kind, condition["left"], condition["right"]
        yield _MIRRORED[kind], condition["right"], condition["left"]
    elif kind == "COMPARE_BETWEEN" and "lower" in condition:
        yield "COMPARE_GREATERTHANOREQUALTO", condition["input"], condition["lower"]
        yield "COMPARE_LESSTHANOREQUALTO", condition["input"], condition["upper"]


def _constant(node: Node, kind: type[KeyValue]) -> KeyValue | None:
    literal = node.get("literal")
    if node.get("type") != "VALUE_CONSTANT" or not isinstance(literal, dict):
        return None
    if kind is int and literal["kind"] == "INTEGER":
        value = int(literal["text"])
        # No key is beyond these, and DuckDB compares what is.
        return value if -_LARGEST - 1 <= value <= _LARGEST else None
    return literal["text"] if kind is str and literal["kind"] == "STRING" else None
