"""The constants that a query names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lake_assets.sql.errors import SqlError
from lake_assets.sql.syntax import Node, nodes, position_of


def constants(tree: Node, parameters: Mapping[str, Any]) -> list[str | int]:
    """Return the texts and the integers in a query, each once.

    Parameters
    ----------
    tree
        The query.
    parameters
        Values of its ``$name``.
    """
    values = (constant(node, parameters) for node in nodes(tree))
    return list(dict.fromkeys(value for value in values if value is not None))


def constant(node: Node, parameters: Mapping[str, Any]) -> str | int | None:
    """Return the text or the integer that a node is; None if it is neither.

    Parameters
    ----------
    node
        The node.
    parameters
        Values of the query's ``$name``.
    """
    if node.get("type") == "VALUE_PARAMETER":
        value = parameters.get(node["identifier"])
        return value if isinstance(value, str | int) else None
    literal = node.get("literal") if node.get("type") == "VALUE_CONSTANT" else None
    if not isinstance(literal, dict) or literal["kind"] not in ("STRING", "INTEGER"):
        return None
    text: str = literal["text"]
    return text if literal["kind"] == "STRING" else int(text)


def used_values(part: Node, text: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the ``$name`` in a part of a query.

    Parameters
    ----------
    part
        The part.
    text
        The query, for errors.
    parameters
        All values.

    Raises
    ------
    SqlError
        One has no value.
    """
    used: dict[str, Any] = {}
    for node in nodes(part):
        if node.get("type") == "VALUE_PARAMETER":
            name = node["identifier"]
            if name not in parameters:
                raise SqlError(f"there is no value for ${name}", text, position_of(node))
            used[name] = parameters[name]
    return used
