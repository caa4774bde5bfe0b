"""Names the values of each PIVOT that names none. DuckDB runs one as two statements, of which the first writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lake_assets.sql.errors import SqlError

_MOST = 10_000
"""Values of a pivot, each of which is a column."""


def name_values(text: str, values_of: Callable[[str], Sequence[str]]) -> str:
    """Return a query in which each PIVOT has the values of its columns, in their order.

    Parameters
    ----------
    text
        The query.
    values_of
        Runs a query, and returns its only column.

    Raises
    ------
    SqlError
        The text is no query, or a PIVOT cannot have values.
    """
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        (tree,) = [statement for statement in sqlglot.parse(text, dialect="duckdb") if statement is not None]
    except (SqlglotError, ValueError) as error:
        raise SqlError(
            "write PIVOT … ON column IN (value, …), or SELECT * FROM (PIVOT …) with an ORDER BY behind it"
        ) from error
    ctes = tree.args.get("with_")
    # The inner ones first, since an outer one may read them.
    for pivot in reversed(list(tree.find_all(exp.Pivot))):
        if pivot.args.get("unpivot") or not isinstance(pivot.this, exp.Expr):
            continue
        for column in list(pivot.expressions):
            if isinstance(column, exp.In):
                continue
            source = exp.select("*").from_(pivot.this.copy())
            shown = exp.cast(column.copy(), "VARCHAR")
            query = exp.select(exp.alias_(shown, "value")).distinct().from_(source.subquery("pivoted"))
            query = query.where(exp.Is(this=column.copy(), expression=exp.null()).not_()).order_by("value")
            if ctes is not None:
                query.set("with_", ctes.copy())
            values = values_of(query.sql("duckdb"))
            if not 0 < len(values) <= _MOST:
                raise SqlError(
                    f"a PIVOT has from 1 to {_MOST:,} values, and {column.sql('duckdb')} has {len(values):,}"
                )
            column.replace(exp.In(this=column.copy(), expressions=[exp.Literal.string(value) for value in values]))
    return tree.sql("duckdb")
