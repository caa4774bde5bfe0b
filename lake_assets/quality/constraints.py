"""What rows must be: constraints, each with a severity. They are declared in Python, or read from YAML.

A null breaks no constraint but :class:`Complete`, as in SQL.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from typing import Any, Literal, get_args

import msgspec

from lake_assets.quality.iso_times import as_time
from lake_assets.quality.plain_yaml import of_plain_yaml

Severity = Literal["WARN", "ERROR"]
Value = str | int | float | bool
"""A value to compare with. Dates and times are ISO texts."""


RESERVED = ("drift", "anomaly")
"""Names of checks that are no constraints."""
_NAME = re.compile(r"[A-Za-z0-9_]+")


class Constraint(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", forbid_unknown_fields=True):
    """A constraint on rows.

    Parameters
    ----------
    severity
        What it means that it is broken: ``ERROR`` blocks, ``WARN`` does not.
    name
        Its name, of letters, digits and ``_``; by default made of its kind and columns.
    """

    severity: Severity = "ERROR"
    name: str = ""

    def __post_init__(self) -> None:
        """Refuse what no rows could be judged by: a mistyped severity would not block, and wrong bounds all rows."""
        if self.name and (not _NAME.fullmatch(self.name) or self.name in RESERVED):
            raise ValueError(
                f"constraint {self.name!r}: a name has letters, digits and _ only, and is none of {', '.join(RESERVED)}"
            )
        if self.severity not in get_args(Severity):
            raise ValueError(f"constraint {self.title!r}: the severity {self.severity!r} is not WARN or ERROR")
        least, most = getattr(self, "min", None), getattr(self, "max", None)
        for value in (least, most, *getattr(self, "values", ())):
            if isinstance(value, dt.date | dt.time):
                raise ValueError(f"constraint {self.title!r}: write {value!r} as the text {value.isoformat()!r}")
        if least is not None and most is not None and _is_above(least, most):
            raise ValueError(f"constraint {self.title!r}: its min {least!r} is above its max {most!r}")
        if not getattr(self, "columns", True):
            raise ValueError(f"constraint {self.title!r}: name at least one column")
        if not 0 <= getattr(self, "at_least", 1) <= 1:
            raise ValueError(f"constraint {self.title!r}: at_least is a share of the rows, from 0 to 1")

    @property
    def title(self) -> str:
        """Its name, which may be given or made."""
        words = [type(self).__struct_config__.tag, *self.named_columns]
        return self.name or "_".join("".join(c if c.isalnum() and c.isascii() else "_" for c in str(w)) for w in words)

    @property
    def named_columns(self) -> Sequence[str]:
        """The columns that it is about."""
        found: Any = getattr(self, "columns", None) or [getattr(self, "column", None)]
        return [name for name in found if name is not None]


def _is_above(least: Value, most: Value) -> bool:
    # Values of two kinds are compared by the column's type.
    kinds = [isinstance(one, str) for one in (least, most)]
    if kinds[0] != kinds[1] or not least > most:  # pyright: ignore[reportOperatorIssue]
        return False
    # As texts, times in several zones have another order.
    low, high = as_time(least), as_time(most)
    return low is None or high is None or low > high


class Complete(Constraint, frozen=True, kw_only=True, tag="complete"):
    """A column has values: at least a share of the rows is not null.

    Parameters
    ----------
    column
        The column.
    at_least
        The share of rows that must not be null, from 0 to 1.
    """

    column: str
    at_least: float = 1.0


class Unique(Constraint, frozen=True, kw_only=True, tag="unique"):
    """No two rows have the same values in some columns. Rows with a null among them do not count.

    Parameters
    ----------
    columns
        The columns.
    """

    columns: list[str]


class Range(Constraint, frozen=True, kw_only=True, tag="range"):
    """Values are within bounds, of which either may be left out.

    Parameters
    ----------
    column
        The column.
    min, max
        The bounds, which belong to the range; None for no bound.
    """

    column: str
    min: Value | None = None
    max: Value | None = None


class Member(Constraint, frozen=True, kw_only=True, tag="member"):
    """Values are of a set.

    Parameters
    ----------
    column
        The column.
    values
        The set.
    """

    column: str
    values: list[Value]


class Pattern(Constraint, frozen=True, kw_only=True, tag="pattern"):
    """Texts match a regular expression (RE2) as a whole.

    Parameters
    ----------
    column
        The column.
    regex
        The regular expression.
    """

    column: str
    regex: str


class Length(Constraint, frozen=True, kw_only=True, tag="length"):
    """Texts have a number of characters within bounds.

    Parameters
    ----------
    column
        The column.
    min, max
        The bounds, in characters, which belong to the range; None for no upper bound.
    """

    column: str
    min: int = 0
    max: int | None = None


class Refers(Constraint, frozen=True, kw_only=True, tag="refers"):
    """Values are also in a column of other rows, which are given by their name when it is verified.

    Parameters
    ----------
    column
        The column.
    rows
        Name of the other rows.
    to
        Their column.
    """

    column: str
    rows: str
    to: str


class Fresh(Constraint, frozen=True, kw_only=True, tag="fresh"):
    """The newest value of a column of times is not older than an age, in seconds.

    Parameters
    ----------
    column
        The column.
    max_age
        The age, in seconds.
    """

    column: str
    max_age: float


class RowCount(Constraint, frozen=True, kw_only=True, tag="row_count"):
    """The number of rows is within bounds.

    Parameters
    ----------
    min, max
        The bounds, which belong to the range; None for no upper bound.
    """

    min: int = 0
    max: int | None = None


class Check(Constraint, frozen=True, kw_only=True, tag="check"):
    """A condition in SQL (DuckDB) is not false for any row.

    Parameters
    ----------
    sql
        The condition on a row.
    """

    sql: str


RowConstraint = Complete | Unique | Range | Member | Pattern | Length | Refers | Check
"""Constraints that each row keeps or breaks."""
AnyConstraint = Complete | Unique | Range | Member | Pattern | Length | Refers | Fresh | RowCount | Check


def of_yaml(text: str) -> list[AnyConstraint]:
    """Return the constraints of a YAML list, such as ``- {kind: complete, column: ISIN}``.

    Dates and times are texts, with quotes and without.

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
        found = msgspec.convert(of_plain_yaml(text), list[AnyConstraint])
    except ValueError as error:
        raise ValueError(f"these are not constraints: {' '.join(str(error).split())}") from error
    refuse_same_names(found)
    return found


def refuse_same_names(constraints: Sequence[AnyConstraint]) -> None:
    """Refuse constraints of which several have the same name.

    Parameters
    ----------
    constraints
        The constraints.

    Raises
    ------
    ValueError
        Some have.
    """
    titles = [one.title for one in constraints]
    repeated = next((title for at, title in enumerate(titles) if title in titles[:at]), None)
    if repeated is not None:
        raise ValueError(f"several constraints have the name {repeated!r}: give them names")


def to_yaml(constraints: Sequence[AnyConstraint]) -> str:
    """Return constraints as YAML.

    Parameters
    ----------
    constraints
        The constraints.
    """
    return msgspec.yaml.encode(list(constraints)).decode()
