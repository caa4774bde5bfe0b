"""Proposes constraints for what a profile shows, each with its evidence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, count

from msgspec.structs import replace

from lake_assets.quality.column_profile import EXACT, ColumnProfile
from lake_assets.quality.constraints import AnyConstraint, Complete, Length, Member, Pattern, Range, Unique, Value
from lake_assets.quality.profile import Profile
from lake_assets.quality.texts import SEMANTIC_TYPES

_MEMBERS = 20
_REPEATED = 50


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A proposed constraint.

    Parameters
    ----------
    constraint
        The constraint. It only warns, until a person decides otherwise.
    evidence
        What the profile shows.
    """

    constraint: AnyConstraint
    evidence: str


def suggest(profile: Profile) -> list[Suggestion]:
    """Return constraints that all rows of a profile keep. Each has a name of its own.

    Parameters
    ----------
    profile
        The profile.
    """
    found: dict[str, Suggestion] = {}
    for column in profile.columns.values():
        for one in _of_column(column):
            title = one.constraint.title
            # The names of columns in other scripts are all alike in that of a constraint.
            free = next(name for name in chain([title], (f"{title}_{at}" for at in count(2))) if name not in found)
            constraint = one.constraint if free == title else replace(one.constraint, name=free)
            found[free] = Suggestion(constraint, one.evidence)
    return list(found.values())


def _of_column(column: ColumnProfile) -> Iterator[Suggestion]:
    name, count = column.name, column.count
    if not count:
        return
    if not column.nulls:
        yield Suggestion(Complete(column=name, severity="WARN"), f"none of {column.rows:,} rows is null")
    exact = column.exactness("distinct") == EXACT and not column.personal
    if exact and column.distinct == count and count > 1 and not column.nans:
        yield Suggestion(Unique(columns=[name], severity="WARN"), f"all {count:,} values are distinct")
    members = column.top(_MEMBERS + 1)
    if exact and 0 < len(members) <= _MEMBERS and count >= _REPEATED * len(members) and not column.is_numeric:
        values: list[Value] = [*sorted(value for value, _ in members if isinstance(value, str))]
        if len(values) == len(members) and column.type == "string":
            yield Suggestion(
                Member(column=name, values=values, severity="WARN"), f"{count:,} values are of these {len(values)}"
            )
    if column.is_numeric and column.type != "bool" and column.negatives == 0 and not column.personal:
        yield Suggestion(Range(column=name, min=0, severity="WARN"), f"none of {count:,} values is negative")
    yield from _of_texts(column)


def _of_texts(column: ColumnProfile) -> Iterator[Suggestion]:
    length = column.max_length
    if length and length == column.min_length:
        yield Suggestion(
            Length(column=column.name, min=length, max=length, severity="WARN"),
            f"all {column.count:,} texts have {length} characters",
        )
    meaning = column.semantic_type
    if meaning is not None and column.meant == column.count:
        yield Suggestion(
            Pattern(column=column.name, regex=SEMANTIC_TYPES[meaning], severity="WARN"),
            f"all {column.count:,} texts are of the type {meaning}",
        )
