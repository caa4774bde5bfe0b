"""What a query reads, from its text alone: its assets, and the columns that each of its columns is made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from lake_assets.sql.errors import SqlError

if TYPE_CHECKING:
    from sqlglot import exp

Name = tuple[str, ...]
"""The parts of an asset's name."""

_DIALECT = "duckdb"


def assets_of(text: str) -> Sequence[Name]:
    """Return the names of the assets that a query reads, sorted: its tables that are no CTEs, and those of ``changes``.

    Parameters
    ----------
    text
        The query.

    Raises
    ------
    SqlError
        It is not one query.
    """
    return sorted({name for name, _ in tables_of(parsed(text))})


def column_origins(text: str, columns: Mapping[Name, Sequence[str]]) -> Mapping[str, Sequence[tuple[Name, str]]]:
    """Return for each column of a query the columns of assets that it is made of.

    A column that is made of none, such as a count, is left out, and so are those that cannot be followed, such as the
    columns of a pivot. Names of columns are in lower case.

    Parameters
    ----------
    text
        The query.
    columns
        The columns of the assets that it reads.
    """
    from sqlglot import exp
    from sqlglot.errors import SqlglotError
    from sqlglot.lineage import lineage

    tree = parsed(text)
    known: dict[str, Name] = {}
    schema: dict[str, dict[str, str]] = {}
    for name, table in list(tables_of(tree)):
        if isinstance(table.this, exp.Identifier) and name in columns:
            # One name each: a schema of sqlglot has names of one depth.
            short = f"asset_{len(known)}"
            known[short] = name
            schema[short] = dict.fromkeys(columns[name], "unknown")
            table.replace(exp.alias_(exp.to_table(short), table.alias or name[-1], table=True))
    try:
        nodes = lineage(None, tree, schema, dialect=_DIALECT, trim_selects=False)
    except (SqlglotError, ValueError):
        return {}
    found: dict[str, Sequence[tuple[Name, str]]] = {}
    for column, node in nodes.items():
        origins: set[tuple[Name, str]] = set()
        for leaf in node.walk():
            table = leaf.expression
            if isinstance(table, exp.Table) and table.name in known:
                name = known[table.name]
                origins.add((name, _as_stored(leaf.name.rpartition(".")[2], columns[name])))
        if origins:
            found[column] = sorted(origins)
    return found


def parsed(text: str) -> exp.Query:
    """Return the syntax tree of a query.

    Parameters
    ----------
    text
        The query.

    Raises
    ------
    SqlError
        It is not one query.
    """
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        statements = [statement for statement in sqlglot.parse(text, dialect=_DIALECT) if statement is not None]
    except SqlglotError as error:
        raise SqlError(f"the query cannot be parsed: {str(error).partition(chr(10))[0]}") from error
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise SqlError("give one query: SELECT, WITH … SELECT or FROM")
    return statements[0]


def tables_of(tree: exp.Expr) -> Iterator[tuple[Name, exp.Table]]:
    """Yield the assets that a query names, each with its place in the tree.

    Parameters
    ----------
    tree
        The tree.
    """
    from sqlglot import exp
    from sqlglot.optimizer.scope import traverse_scope

    for scope in traverse_scope(tree):
        for source in scope.sources.values():
            if not isinstance(source, exp.Table):
                continue
            called = source.this
            if isinstance(called, exp.Identifier):
                yield tuple(part.name for part in source.parts), source
            elif isinstance(called, exp.Anonymous) and called.name.lower() == "changes" and called.expressions:
                yield tuple(called.expressions[0].name.split(".")), source


def _as_stored(column: str, columns: Sequence[str]) -> str:
    """Return a column as its asset writes it. To DuckDB, names that differ by case only are the same."""
    return next((name for name in columns if name.lower() == column.lower()), column)
