"""Constraints in SQL (DuckDB): what is true for a row that breaks one."""

from __future__ import annotations

from lake_assets.lake.rows import sql_name, sql_text
from lake_assets.quality.constraints import (
    Check,
    Complete,
    Length,
    Member,
    Pattern,
    Range,
    RowConstraint,
    Unique,
    Value,
)


def broken_by_row(one: RowConstraint) -> str:
    """Return the SQL that is true for a row that breaks a constraint. It may look at other rows by a window.

    Parameters
    ----------
    one
        The constraint.
    """
    if isinstance(one, Unique):
        names = ", ".join(map(sql_name, one.columns))
        known = " AND ".join(f"{sql_name(name)} IS NOT NULL" for name in one.columns)
        return f"({known} AND count(*) OVER (PARTITION BY {names}) > 1)"
    if isinstance(one, Check):
        # On a line of its own, since it may end with a comment.
        return f"NOT ({one.sql}\n)"
    column = sql_name(one.column)
    if isinstance(one, Complete):
        return f"{column} IS NULL"
    if isinstance(one, Range):
        return _outside(column, one.min, one.max)
    if isinstance(one, Member):
        listed = ", ".join(map(literal, one.values))
        return f"{column} NOT IN ({listed})" if one.values else f"{column} IS NOT NULL"
    if isinstance(one, Pattern):
        return f"NOT regexp_full_match({column}, {sql_text(one.regex)})"
    if isinstance(one, Length):
        return _outside(f"length({column})", one.min, one.max)
    there = f"SELECT {sql_name(one.to)} FROM {sql_name(one.rows)} WHERE {sql_name(one.to)} IS NOT NULL"  # noqa: S608
    # Of no rows at all, NOT IN is also true for a null.
    return f"({column} IS NOT NULL AND {column} NOT IN ({there}))"


def literal(value: Value) -> str:
    """Return a value in SQL.

    Parameters
    ----------
    value
        The value.
    """
    if isinstance(value, bool | int | float):
        return repr(value) if value == value and abs(value) != float("inf") else f"'{value}'::DOUBLE"
    return sql_text(value)


def _outside(expression: str, low: Value | None, high: Value | None) -> str:
    sides = [f"{expression} < {literal(low)}"] if low is not None else []
    # In DuckDB, NaN is the greatest number.
    sides += [f"{expression} > {literal(high)}"] if high is not None else []
    return f"({' OR '.join(sides)})" if sides else "false"
