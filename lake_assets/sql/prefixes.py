"""Conditions on the beginning of a key, such as ``LIKE 'DE%'``, also as a range of keys, which DuckDB pushes down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from lake_assets.lake.rows import sql_name, sql_text
from lake_assets.sql.constants import constant
from lake_assets.sql.syntax import Node, nodes, parse

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_LONGEST = 100
"""Characters of a beginning that make a range."""

_LIKE = "~~"
_BEGINNINGS = frozenset((_LIKE, "^@", "starts_with", "prefix"))


def bound_prefixes(
    tree: Node, keys: Mapping[int, str], parameters: Mapping[str, Any], parser: DuckDBPyConnection
) -> None:
    """Add to each WHERE the range of the beginnings that it demands of a table's key.

    Parameters
    ----------
    tree
        The query, which is changed.
    keys
        First key column, a text, of each table by the ``id`` of the table's node.
    parameters
        Values of the query's ``$name``.
    parser
        Parses the ranges.
    """
    for node in list(nodes(tree)) if keys else ():
        if node.get("type") != "SELECT_NODE" or not node["where_clause"]:
            continue
        for text in list(_ranges(node, keys, parameters)):
            added = parse(parser, f"SELECT 1 WHERE a AND {text}")["statements"][0]["node"]["where_clause"]
            added["children"][0] = node["where_clause"]
            node["where_clause"] = added


def _ranges(select: Node, keys: Mapping[int, str], parameters: Mapping[str, Any]) -> Iterator[str]:
    tables = list(_tables(select["from_table"]))
    for condition in _conditions(select["where_clause"]):
        if condition.get("function_name") not in _BEGINNINGS or len(condition["arguments"]) != 2:
            continue
        column, pattern = (argument["expression"] for argument in condition["arguments"])
        names, begin = column.get("column_names", ()), constant(pattern, parameters)
        if not isinstance(begin, str) or not any(_names(names, table, keys, len(tables)) for table in tables):
            continue
        if condition["function_name"] == _LIKE:
            begin = begin.partition("%")[0].partition("_")[0]
        begin = begin[:_LONGEST]
        if begin and "\0" not in begin:
            named, end = ".".join(map(sql_name, names)), _after(begin)
            yield f"{named} >= {sql_text(begin)}" + (f" AND {named} < {sql_text(end)}" if end else "")


def _tables(part: Node) -> Iterator[Node]:
    """Yield what a FROM joins."""
    if part["type"] == "JOIN":
        yield from _tables(part["left"])
        yield from _tables(part["right"])
    else:
        yield part


def _conditions(part: Node) -> Iterator[Node]:
    """Yield the conditions that all hold where a WHERE does."""
    if part["type"] == "CONJUNCTION_AND":
        for child in part["children"]:
            yield from _conditions(child)
    else:
        yield part


def _names(names: list[str], table: Node, keys: Mapping[int, str], tables: int) -> bool:
    """Tell whether a column's name is that of a table's key, whatever else the query names."""
    key = keys.get(id(table))
    if key is None or table["column_name_alias"]:
        return False
    called = table["alias"] or table["qualified_name"]["path"][-1]
    allowed = [[called.lower(), key.lower()], *([[key.lower()]] if tables == 1 else [])]
    return [name.lower() for name in names] in allowed


def _after(begin: str) -> str | None:
    """Return the first text after all that begin so, in the order of code points. None if there is none."""
    last = begin.rstrip("\U0010ffff")
    if not last:
        return None
    code = ord(last[-1]) + 1
    # Surrogates are no characters.
    return last[:-1] + chr(0xE000 if code == 0xD800 else code)
