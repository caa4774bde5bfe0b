"""The syntax tree of a query: parsed by DuckDB, checked against what is allowed, and turned into text again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lake_assets.sql.allowed import FUNCTIONS, NODES, SCHEMAS, SUMMARIES, TABLE_FUNCTIONS
from lake_assets.sql.errors import OpenPivotError, SqlError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Node = dict[str, Any]
"""One node of a syntax tree, as ``json_serialize_sql`` gives it."""

_NOWHERE = 2**64 - 1
"""DuckDB's location of a node that is not in the text."""

_LONGEST, _DEEPEST = 1_000_000, 500
"""Characters of a text, and brackets in brackets. DuckDB's time to parse grows with the square of both."""

ONLY_QUERIES = "only one query is run, and it only reads: SELECT, WITH … SELECT, FROM, VALUES, DESCRIBE or SUMMARIZE"


def parse(connection: DuckDBPyConnection, text: str) -> Node:
    """Return the tree of a query, which consists only of what is allowed.

    Parameters
    ----------
    connection
        Parses the text, and runs nothing of it.
    text
        The query.

    Raises
    ------
    SqlError
        It is not one query, has a syntax error, or contains what is not allowed.
    """
    tree = _serialized(connection, text)
    check(tree, text)
    return tree


def check(tree: Node, text: str) -> None:
    """Refuse a tree that contains what is not allowed.

    Parameters
    ----------
    tree
        The tree of one query.
    text
        The query, for the error.

    Raises
    ------
    SqlError
        It names what is not allowed.
    """
    for node in nodes(tree):
        if reason := _refusal(node):
            raise SqlError(reason, text, position_of(node))


def to_text(connection: DuckDBPyConnection, tree: Node) -> str:
    """Return the text of a tree. What runs is this text, and it is checked again as it is.

    Parameters
    ----------
    connection
        Writes the text.
    tree
        The tree.
    """
    found = connection.execute("SELECT json_deserialize_sql(?::JSON)", [json.dumps(tree)]).fetchone()
    text: str = found[0] if found else ""
    check(_serialized(connection, text), text)
    return text


def statement(query: Node) -> Node:
    """Return the tree of a statement with a query's node.

    Parameters
    ----------
    query
        The node.
    """
    return {"error": False, "statements": [{"node": query, "named_param_map": []}]}


def nodes(part: Any) -> Iterator[Node]:
    """Yield all nodes below a part of a tree, outer ones first.

    Parameters
    ----------
    part
        A node, a list of nodes, or a value.
    """
    waiting = [part]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting.extend(reversed(list(part.values())))
        elif isinstance(part, list):
            waiting.extend(reversed(part))


def position_of(node: Node) -> int | None:
    """Return where a node is in the text; None if that is not known.

    Parameters
    ----------
    node
        The node.
    """
    position = node.get("query_location")
    return position if isinstance(position, int) and position != _NOWHERE else None


def _serialized(connection: DuckDBPyConnection, text: str) -> Node:
    if "\0" in text:
        raise SqlError("a query has no NUL characters", text, len(text.partition("\0")[0].encode()))
    if len(text) > _LONGEST:
        raise SqlError(f"a query has at most {_LONGEST:,} characters")
    if (position := _too_deep(text)) is not None:
        raise SqlError("the query is nested too deeply", text, position)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise SqlError("the text is not UTF-8") from error
    found = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [text]).fetchone()
    tree: Node = json.loads(found[0]) if found else {}
    if tree.get("error"):
        if tree.get("error_type") == "not implemented":
            raise OpenPivotError(ONLY_QUERIES) if "pivot" in text.lower() else SqlError(ONLY_QUERIES)
        position = tree.get("position")
        raise SqlError(_first_line(tree["error_message"]), text, int(position) if position else None)
    if len(tree["statements"]) != 1:
        raise SqlError(ONLY_QUERIES if tree["statements"] else "there is no query")
    return tree


def _too_deep(text: str) -> int | None:
    depth = 0
    for bracket in re.finditer(r"[][(){}]", text):
        depth += 1 if bracket[0] in "([{" else -1
        if depth > _DEEPEST:
            return len(text[: bracket.start()].encode(errors="replace"))
    return None


def _refusal(node: Node) -> str | None:
    """Return why a node is not allowed; None if it is."""
    kind = node.get("type")
    if isinstance(kind, str) and kind not in NODES:
        return f"{_spoken(kind)} is not allowed: {ONLY_QUERIES}"
    if "info_type" in node:
        return ONLY_QUERIES
    if "function_name" in node:
        name, path = node["function_name"], node.get("qualified_name", {}).get("path", [])
        # Before a function, `column.` is its first argument.
        first = [part for part in (node.get("catalog"), node.get("schema")) if part]
        if path and path != [*first, name]:
            return f"the function {'.'.join(path)} is not allowed"
        if first and first[0].lower() in SCHEMAS:
            return f"the function {'.'.join(path)} is not allowed: name it without a schema"
        if name.lower() not in (FUNCTIONS | TABLE_FUNCTIONS):
            return f"the function {name} is not allowed here, since it is not known to only compute"
    if kind == "TABLE_FUNCTION":
        function = node["function"]
        name = function.get("function_name", "")
        if name.lower() not in TABLE_FUNCTIONS or function.get("catalog") or function.get("schema"):
            return f"the function {name} is not allowed after FROM: read an asset by its name"
    if kind == "SHOW_REF" and (node.get("show_type") not in SUMMARIES or not node.get("query")):
        return "of SHOW, only DESCRIBE and SUMMARIZE of a query or an asset are allowed"
    return None


def _spoken(kind: str) -> str:
    return kind.removesuffix("_QUERY_NODE").removesuffix("_NODE").replace("_", " ")


def _first_line(message: str) -> str:
    return message.partition("\n")[0]
