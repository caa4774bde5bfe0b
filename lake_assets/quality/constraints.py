"""What rows must be: constraints, each with a severity. They are declared in Python, or read from YAML.

A null breaks no constraint but :class:`Complete`, as in SQL.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from lake_assets.lake.rows import sql_name, sql_text
from lake_assets.quality.profile import Profile

Severity = Literal["WARN", "ERROR"]
Value = str | int | float | bool
"""A value to compare with. Dates and times are ISO texts."""


class Constraint(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", forbid_unknown_fields=True):
    """A constraint on rows.

    Parameters
    ----------
    severity
        What it means that it is broken: ``ERROR`` blocks, ``WARN`` does not.
    name
        Its name; by default made of its kind and columns.
    """

    severity: Severity = "ERROR"
    name: str = ""

    @property
    def title(self) -> str:
        """Its name, which may be given or made."""
        words = [type(self).__struct_config__.tag, *self.named_columns]
        return self.name or "_".join("".join(c if c.isalnum() and c.isascii() else "_" for c in str(w)) for w in words)

    @property
    def named_columns(self) -> Sequence[str]:
        """The columns that it is about."""
        found: Any = getattr(self, "columns", None) or [getattr(self, "column", None)]
        return [name for name in found if name]

    def bad(self) -> str:
        """Return the SQL that is true for a row that breaks it. It may look at other rows by a window."""
        raise NotImplementedError

    def bad_by_profile(self, profile: Profile) -> int | None:
        """Return the number of rows that break it, or at least one if some do; None if the profile does not tell.

        Parameters
        ----------
        profile
            The profile of the rows.
        """
        del profile
        return None


class Complete(Constraint, frozen=True, kw_only=True, tag="complete"):
    """A column has values: at least a share of the rows is not null."""

    column: str
    at_least: float = 1.0

    def bad(self) -> str:
        """Return the SQL that is true for a null."""
        return f"{sql_name(self.column)} IS NULL"

    def allowed(self, rows: int) -> int:
        """Return how many rows may be null.

        Parameters
        ----------
        rows
            The number of rows.
        """
        return int(rows * (1 - self.at_least) + 1e-9)

    def bad_by_profile(self, profile: Profile) -> int | None:
        """Return the number of nulls.

        Parameters
        ----------
        profile
            The profile of the rows.
        """
        return profile.columns[self.column].nulls


class Unique(Constraint, frozen=True, kw_only=True, tag="unique"):
    """No two rows have the same values in some columns. Rows with a null among them do not count."""

    columns: list[str]

    def bad(self) -> str:
        """Return the SQL that is true for a row that another one is like."""
        names = ", ".join(map(sql_name, self.columns))
        known = " AND ".join(f"{sql_name(name)} IS NOT NULL" for name in self.columns)
        return f"({known} AND count(*) OVER (PARTITION BY {names}) > 1)"

    def bad_by_profile(self, profile: Profile) -> int | None:
        """Return zero if all values are known to be distinct.

        Parameters
        ----------
        profile
            The profile of the rows.
        """
        if len(self.columns) > 1:
            return None
        column = profile.columns[self.columns[0]]
        # How many rows are repeated is not known.
        return (
            0
            if column.exactness("distinct") == "exact" and column.distinct == column.count and not column.nans
            else None
        )


class Range(Constraint, frozen=True, kw_only=True, tag="range"):
    """Values are within bounds, of which either may be left out."""

    column: str
    min: Value | None = None
    max: Value | None = None

    def bad(self) -> str:
        """Return the SQL that is true outside of the bounds."""
        return _outside(sql_name(self.column), self.min, self.max)

    def bad_by_profile(self, profile: Profile) -> int | None:
        """Return zero if the least and greatest value are within the bounds.

        Parameters
        ----------
        profile
            The profile of the rows.
        """
        column = profile.columns[self.column]
        if column.nans or (column.count and column.min is None):
            return None
        return _within(column.min, column.max, self.min, self.max)


class Member(Constraint, frozen=True, kw_only=True, tag="member"):
    """Values are of a set."""

    column: str
    values: list[Value]

    def bad(self) -> str:
        """Return the SQL that is true for another value."""
        listed = ", ".join(map(literal, self.values))
        return f"{sql_name(self.column)} NOT IN ({listed})" if self.values else f"{sql_name(self.column)} IS NOT NULL"

    def bad_by_profile(self, profile: Profile) -> int | None:
        """Return the number of other values, if all values are known.

        Parameters
        ----------
        profile
            The profile of the rows.
        """
        column = profile.columns[self.column]
        if column.personal or column.exactness("top") != "exact" or column.nans or not column.top(1):
            return None if column.count or column.nans else 0
        found = column.top(1 << 20)
        kinds = {type(value) for value, _ in found} | {type(value) for value in self.values}
        return sum(count for value, count in found if value not in self.values) if len(kinds) == 1 else None


class Pattern(Constraint, frozen=True, kw_only=True, tag="pattern"):
    """Texts match a regular expression (RE2) as a whole."""

    column: str
    regex: str

    def bad(self) -> str:
        """Return the SQL that is true for a text that does not match."""
        return f"NOT regexp_full_match({sql_name(self.column)}, {sql_text(self.regex)})"

    def bad_by_profile(self, profile: Profile) -> int | None:
        """Return the number of texts that do not match, if all texts are known.

        Parameters
        ----------
        profile
            The profile of the rows.
        """
        import pyarrow as pa
        import pyarrow.compute

        pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them
        column = profile.columns[self.column]
        if not column.count:
            return 0
        if column.personal or column.type != "string" or column.exactness("top") != "exact":
            return None
        texts, counts = zip(*column.top(1 << 20), strict=True)
        try:
            # Both engines are RE2.
            fits = pc.match_substring_regex(pa.array(texts, pa.string()), rf"\A(?:{self.regex})\z")
        except pa.ArrowInvalid:
            return None  # DuckDB says what is wrong.
        return sum(count for count, fit in zip(counts, fits.to_pylist(), strict=True) if not fit)


class Length(Constraint, frozen=True, kw_only=True, tag="length"):
    """Texts have a number of characters within bounds."""

    column: str
    min: int = 0
    max: int | None = None

    def bad(self) -> str:
        """Return the SQL that is true for a text that is too short or too long."""
        return _outside(f"length({sql_name(self.column)})", self.min, self.max)

    def bad_by_profile(self, profile: Profile) -> int | None:
        """Return zero if the shortest and longest text are within the bounds.

        Parameters
        ----------
        profile
            The profile of the rows.
        """
        column = profile.columns[self.column]
        return _within(column.min_length, column.max_length, self.min, self.max)


class Refers(Constraint, frozen=True, kw_only=True, tag="refers"):
    """Values are also in a column of other rows, which are given by their name when it is verified."""

    column: str
    rows: str
    to: str

    def bad(self) -> str:
        """Return the SQL that is true for a value that is not there."""
        there = f"SELECT {sql_name(self.to)} FROM {sql_name(self.rows)} WHERE {sql_name(self.to)} IS NOT NULL"  # noqa: S608
        return f"{sql_name(self.column)} NOT IN ({there})"


class Fresh(Constraint, frozen=True, kw_only=True, tag="fresh"):
    """The newest value of a column of times is not older than an age, in seconds."""

    column: str
    max_age: float

    def age(self, newest: Any, now: dt.datetime) -> float | None:
        """Return the age of the newest value, in seconds; None if it is no time.

        Parameters
        ----------
        newest
            The newest value. A time without a zone is in UTC.
        now
            The time to compare with.
        """
        if isinstance(newest, dt.date) and not isinstance(newest, dt.datetime):
            newest = dt.datetime.combine(newest, dt.time.max)
        if not isinstance(newest, dt.datetime):
            return None
        return (now - (newest if newest.tzinfo else newest.replace(tzinfo=dt.timezone.utc))).total_seconds()


class RowCount(Constraint, frozen=True, kw_only=True, tag="row_count"):
    """The number of rows is within bounds."""

    min: int = 0
    max: int | None = None


class Check(Constraint, frozen=True, kw_only=True, tag="check"):
    """A condition in SQL (DuckDB) is not false for any row."""

    sql: str

    def bad(self) -> str:
        """Return the SQL that is true for a row for which the condition is false."""
        return f"NOT ({self.sql})"


AnyConstraint = Complete | Unique | Range | Member | Pattern | Length | Refers | Fresh | RowCount | Check


def of_yaml(text: str) -> list[AnyConstraint]:
    """Return the constraints of a YAML list, such as ``- {kind: complete, column: ISIN}``.

    Parameters
    ----------
    text
        The YAML.

    Raises
    ------
    ValueError
        It is not a list of constraints.
    """
    try:
        return msgspec.yaml.decode(text, type=list[AnyConstraint])
    except msgspec.MsgspecError as error:
        raise ValueError(f"these are not constraints: {error}") from error


def to_yaml(constraints: Sequence[AnyConstraint]) -> str:
    """Return constraints as YAML.

    Parameters
    ----------
    constraints
        The constraints.
    """
    return msgspec.yaml.encode(list(constraints)).decode()


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


def _within(least: Any, greatest: Any, low: Any, high: Any) -> int | None:
    if least is None:
        return 0
    try:
        low, high = (_like(least, bound) for bound in (low, high))
        return 0 if (low is None or least >= low) and (high is None or greatest <= high) else None
    except (TypeError, ValueError):
        return None


def _like(value: Any, bound: Any) -> Any:
    if not isinstance(bound, str) or not isinstance(value, dt.date):
        return bound
    return (dt.datetime if isinstance(value, dt.datetime) else dt.date).fromisoformat(bound)
