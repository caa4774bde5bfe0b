"""The tables that a query names: which of them are its own CTEs, and which are assets, at which ref."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lake_assets.sql.syntax import Node

CHANGES = "changes"
"""The function after FROM that gives the rows that differ between two refs."""


def references(tree: Node) -> Iterator[Node]:
    """Yield each node that names an asset: a table that is no CTE in scope, or a call of ``changes``.

    Parameters
    ----------
    tree
        The tree.
    """
    yield from _in(tree, frozenset())


def path_of(reference: Node) -> list[str]:
    """Return the parts of a table's name.

    Parameters
    ----------
    reference
        A node of a table.
    """
    return [part for part in reference["qualified_name"]["path"] if part]


def replace_by_view(reference: Node, view: str) -> None:
    """Let a node read a view. The query goes on to call it as before.

    Parameters
    ----------
    reference
        A node that :func:`references` yields.
    view
        Name of the view.
    """
    called = reference["alias"] or (CHANGES if is_changes(reference) else path_of(reference)[-1])
    kept = {name: reference[name] for name in ("sample", "query_location", "query_location_length")}
    columns = reference.get("column_name_alias") or []
    reference.clear()
    reference.update(
        kept,
        type="BASE_TABLE",
        alias=called,
        table_name=view,
        schema_name="",
        catalog_name="",
        column_name_alias=columns,
        at_clause=None,
        qualified_name={"path": [view]},
    )


def is_changes(reference: Node) -> bool:
    """Tell whether a node is a call of ``changes``.

    Parameters
    ----------
    reference
        A node.
    """
    return (
        reference.get("type") == "TABLE_FUNCTION" and reference["function"].get("function_name", "").lower() == CHANGES
    )


def drop_schemas(tree: Node, path: list[str]) -> None:
    """Shorten the columns that are written with a table's full name, ``sales.daily.price`` to ``daily.price``.

    Parameters
    ----------
    tree
        The tree.
    path
        The parts of the table's name.
    """
    wanted = [part.lower() for part in path]
    waiting: list[Any] = [tree]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            names = part.get("column_names")
            if part.get("class") == "COLUMN_REF" and names and [name.lower() for name in names[: len(path)]] == wanted:
                part["column_names"] = names[len(path) - 1 :]
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def _in(part: Any, known: frozenset[str]) -> Iterator[Node]:
    if isinstance(part, list):
        for item in part:
            yield from _in(item, known)
        return
    if not isinstance(part, dict):
        return
    if part.get("type") == "BASE_TABLE":
        path = path_of(part)
        if len(path) > 1 or path[0].lower() not in known or part["at_clause"]:
            yield part
        return
    if is_changes(part):
        yield part
        return
    if part.get("type") in ("RECURSIVE_CTE_NODE", "CTE_NODE") and part.get("cte_name"):
        known |= {part["cte_name"].lower()}
    # A name is known to the CTEs after it and to the query.
    ctes = part.get("cte_map")
    for entry in ctes["map"] if ctes else ():
        yield from _in(entry["value"], known)
        known |= {entry["key"].lower()}
    for name, value in part.items():
        if name != "cte_map":
            yield from _in(value, known)
