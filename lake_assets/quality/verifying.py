"""Verifies constraints: by the profile where that suffices, otherwise all others in one more pass of DuckDB."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lake_assets.lake.rows import sql_name, sql_text
from lake_assets.quality.constraint_by_profile import age, broken_rows
from lake_assets.quality.constraint_sql import broken_by_row
from lake_assets.quality.constraints import AnyConstraint, Check, Complete, Fresh, Refers, RowCount, refuse_same_names
from lake_assets.quality.profile import Profile
from lake_assets.quality.profiling import profile
from lake_assets.quality.querying import NUMBER, as_table, opened, query
from lake_assets.text.printable import printable

if TYPE_CHECKING:
    import pyarrow

REASONS = "quality_reasons"
"""The column of rejected rows that names every constraint that the row breaks."""

_SHOWN = 200
"""Characters of a condition in SQL that a verdict shows."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found of a constraint.

    Parameters
    ----------
    constraint
        The constraint.
    passed
        Whether it holds.
    bad
        The number of rows that break it; for constraints on the whole, zero or one.
    rows
        The number of rows.
    description
        What was found, in words.
    by_profile
        Whether the profile sufficed.
    counted
        Whether the number of bad rows is exact. Otherwise there are at least so many.
    """

    constraint: AnyConstraint
    passed: bool
    bad: int
    rows: int
    description: str
    by_profile: bool
    counted: bool = True


def verify(
    data: Any,
    constraints: Sequence[AnyConstraint],
    *,
    known: Profile | None = None,
    references: Mapping[str, Any] | None = None,
    now: dt.datetime | None = None,
) -> list[Verdict]:
    """Return what was found of each constraint.

    Parameters
    ----------
    data
        A frame of any library, or a stream whose profile is known: a ``pyarrow.RecordBatchReader``.
    constraints
        The constraints.
    known
        The profile of the rows, if it is there already.
    references
        The rows that constraints refer to, by name.
    now
        The time that ages end at; by default the present.

    Raises
    ------
    ValueError
        A constraint names a column, or rows, that are not there, or its SQL is wrong.
    """
    import pyarrow as pa

    rows = data if isinstance(data, pa.RecordBatchReader) and known is not None else as_table(data)
    known = known or profile(rows)
    found = dict(enumerate(verify_by_profile(known, constraints, now=now)))
    rest = [at for at, verdict in found.items() if verdict is None or not verdict.counted]
    if rest:
        # A window's count is of rows, so it stands below the sums.
        columns = ", ".join(f"{_sql(constraints[at])} AS b{at}" for at in rest)
        sums = ", ".join(f"count(*) FILTER (b{at})" for at in rest)
        with opened(rows, _referenced(constraints, references)) as connection:
            counts = query(connection, f"SELECT {sums} FROM (SELECT {columns} FROM frame)")  # noqa: S608
        for at, bad in zip(rest, counts.columns, strict=True):
            found[at] = _verdict(constraints[at], bad[0].as_py(), known.rows, by_profile=False)
    return [verdict for verdict in found.values() if verdict is not None]


def verify_by_profile(
    known: Profile, constraints: Sequence[AnyConstraint], *, now: dt.datetime | None = None
) -> list[Verdict | None]:
    """Return what a profile tells of each constraint; None where it does not tell whether it holds.

    Parameters
    ----------
    known
        The profile of the rows.
    constraints
        The constraints.
    now
        The time that ages end at; by default the present.

    Raises
    ------
    ValueError
        A constraint names a column that is not there.
    """
    _refuse_unknown(constraints, list(known.columns))
    at = now or dt.datetime.now(dt.timezone.utc)
    return [_by_profile(one, known, at) for one in constraints]


def split(
    data: Any, constraints: Sequence[AnyConstraint], *, references: Mapping[str, Any] | None = None
) -> tuple[pyarrow.Table, pyarrow.Table]:
    """Return the rows that break no constraint, and those that break one, with every reason, in one pass.

    Constraints on the whole, such as a number of rows, reject no row.

    Parameters
    ----------
    data
        A frame of any library.
    constraints
        The constraints.
    references
        The rows that constraints refer to, by name.

    Raises
    ------
    ValueError
        A constraint names a column, or rows, that are not there, or its SQL is wrong.
    """
    import pyarrow as pa
    import pyarrow.compute

    pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them
    table = as_table(data)
    if REASONS in table.column_names:
        raise ValueError(f"the rows have a column {REASONS!r}: rename it")
    _refuse_unknown(constraints, table.column_names)
    each = [one for one in constraints if not isinstance(one, RowCount | Fresh)]
    if not each or not table.num_rows:
        reasons: Any = pa.array([[] for _ in range(table.num_rows)], pa.list_(pa.string()))
    else:
        cases = ", ".join(f"CASE WHEN {broken_by_row(one)} THEN {sql_text(one.title)} END" for one in each)
        with opened(table, _referenced(each, references), numbered=True) as connection:
            broken = f"[x FOR x IN [{cases}] IF x IS NOT NULL]"
            text = f"SELECT {broken} FROM frame ORDER BY {sql_name(NUMBER)}"  # noqa: S608
            reasons = query(connection, text).column(0).combine_chunks()
    good = pc.equal(pc.list_value_length(reasons), 0)
    rejected = table.append_column(REASONS, reasons.cast(pa.list_(pa.string())))
    return table.filter(good), rejected.filter(pc.invert(good))


def _refuse_unknown(constraints: Sequence[AnyConstraint], columns: Sequence[str]) -> None:
    for one in constraints:
        for name in one.named_columns:
            if name not in columns:
                raise ValueError(
                    f"constraint {one.title!r}: there is no column {name!r}; there are {', '.join(columns)}"
                )
    refuse_same_names(constraints)


def _referenced(constraints: Sequence[AnyConstraint], references: Mapping[str, Any] | None) -> dict[str, pyarrow.Table]:
    """Return the rows that constraints refer to as tables."""
    tables = {name: as_table(rows) for name, rows in (references or {}).items()}
    for one in constraints:
        if not isinstance(one, Refers):
            continue
        if one.rows not in tables:
            raise ValueError(
                f"constraint {one.title!r}: no rows are named {one.rows!r}; there are {', '.join(tables) or 'none'}: "
                "give them as references"
            )
        columns = tables[one.rows].column_names
        if one.to not in columns:
            raise ValueError(
                f"constraint {one.title!r}: {one.rows!r} has no column {one.to!r}; there are {', '.join(columns)}"
            )
    return tables


def _by_profile(one: AnyConstraint, known: Profile, now: dt.datetime) -> Verdict | None:
    if isinstance(one, RowCount):
        passed = one.min <= known.rows and (one.max is None or known.rows <= one.max)
        bounds = f"at least {one.min:,}" + ("" if one.max is None else f" and at most {one.max:,}")
        return Verdict(one, passed, 0 if passed else 1, known.rows, f"{known.rows:,} rows; {bounds} allowed", True)
    if isinstance(one, Fresh):
        newest = known.columns[one.column].max
        old = age(newest, now)
        passed = old is not None and old <= one.max_age
        said = f"the newest {one.column} is {newest}"
        if newest is None and known.columns[one.column].count:
            said = f"no value of {one.column} is kept, since it is a personal column: its age is not known"
        elif newest is not None and old is None:
            said += ", which is not a time"
        return Verdict(one, passed, 0 if passed else 1, known.rows, said, True)
    found = broken_rows(one, known)
    return None if found is None else _verdict(one, found.bad, known.rows, by_profile=True, counted=found.counted)


def _sql(one: AnyConstraint) -> str:
    # Those on the whole were verified by the profile.
    assert not isinstance(one, RowCount | Fresh)
    return broken_by_row(one)


def _verdict(one: AnyConstraint, bad: int, rows: int, *, by_profile: bool, counted: bool = True) -> Verdict:
    allowed = int(rows * (1 - one.at_least) + 1e-9) if isinstance(one, Complete) else 0
    number = f"{bad:,}" if counted else f"at least {bad:,}"
    condition = f": {_shown(one.sql)}" if isinstance(one, Check) else ""
    text = f"{number} of {rows:,} rows break {one.title}{condition}"
    return Verdict(one, bad <= allowed, bad, rows, text, by_profile, counted)


def _shown(sql: str) -> str:
    text = printable(" ".join(sql.split()))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} …"
