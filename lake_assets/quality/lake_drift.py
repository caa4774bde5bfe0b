"""Drift between two states of the lake: what differs, the partitions that carry it, and a few rows that show it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lake_assets.lake.names import join
from lake_assets.quality.column_profile import ColumnProfile
from lake_assets.quality.drift import SCHEMA, drift
from lake_assets.quality.lake_profiles import parts_at, stream_at
from lake_assets.quality.profile import Profile, merged
from lake_assets.quality.thresholds import Finding

if TYPE_CHECKING:
    import pyarrow

    from lake_assets.lake.contract import Lake

_ROWS = 3


@dataclass(frozen=True, slots=True)
class PlacedFinding:
    """Something that drifted, and where.

    Parameters
    ----------
    finding
        What drifted.
    partitions
        The partition folders that carry it, such as ``day=2017-07-28``. Empty if there are no partitions.
    rows
        A few rows that show it, without personal columns. Empty if single rows do not.
    """

    finding: Finding
    partitions: Sequence[str]
    rows: Sequence[Mapping[str, Any]]


def drift_at(
    lake: Lake, before: tuple[str, str], after: tuple[str, str], personal: Collection[str] = ()
) -> list[PlacedFinding]:
    """Return how the rows of a folder differ in distribution between two states.

    Parameters
    ----------
    lake
        The lake.
    before, after
        Commit and folder of each state.
    personal
        Names of columns of which no value is kept or shown. Case is ignored.

    Raises
    ------
    PathNotFound
        Nothing is there.
    ValueError
        There is no file that has a profile, or files have different columns.
    """
    old, new = (dict(parts_at(lake, *state, personal)) for state in (before, after))
    whole = merged(old.values())
    found = drift(whole, merged(new.values()))
    carried = {name: _carried(old.get(name), profile, whole) for name, profile in new.items()} if found else {}
    placed: list[PlacedFinding] = []
    for finding in found:
        names = _carriers(finding, carried)
        shown: list[Mapping[str, Any]] = []
        for name in names or new:
            if _can_tell(finding, whole, new[name]):
                shown = _rows(lake, (after[0], join(after[1], name)), finding, whole.columns[finding.column], personal)
                break
        placed.append(PlacedFinding(finding, [name for name in names if name], shown))
    return placed


def _carriers(finding: Finding, carried: Mapping[str, Collection[tuple[str, str]]]) -> list[str]:
    """Return the partitions in which the same drifted, or else anything of the same column, or else anything."""
    same = [name for name, its in carried.items() if (finding.metric, finding.column) in its]
    of_column = [name for name, its in carried.items() if any(column == finding.column for _, column in its)]
    return same or of_column or [name for name, its in carried.items() if its]


def _carried(old: Profile | None, new: Profile, whole: Profile) -> set[tuple[str, str]]:
    """Return metric and column of what drifted in a partition. A new one is compared with all rows."""
    return {(one.metric, one.column) for one in drift(whole if old is None else old, new)}


def _can_tell(finding: Finding, whole: Profile, new: Profile) -> bool:
    """Tell, by its profile, whether rows of a partition show what drifted."""
    if not finding.column or finding.metric == SCHEMA:
        return False
    known, its = whole.columns[finding.column], new.columns[finding.column]
    if known.personal:
        return False
    if finding.metric == "nulls":
        return its.nulls > 0
    bounds = (known.min, known.max, its.min, its.max)
    # A time that Python has not is told as a text.
    if len(set(map(type, bounds))) > 1 or isinstance(known.min, str) != (known.type == "string"):
        return False
    return known.min is not None and bool(its.min < known.min or its.max > known.max)


def _rows(
    lake: Lake, place: tuple[str, str], finding: Finding, known: ColumnProfile, personal: Collection[str]
) -> list[Mapping[str, Any]]:
    """Return the first rows of a partition that show what drifted. Its profile says that there are some."""
    found: list[Mapping[str, Any]] = []
    hidden = {name.casefold() for name in personal}
    with stream_at(lake, *place) as rows:
        for batch in rows:
            shown = batch.select([name for name in batch.schema.names if name.casefold() not in hidden])
            found += shown.filter(_telling(batch.column(finding.column), finding, known)).slice(0, _ROWS).to_pylist()
            if len(found) >= _ROWS:
                break
    return found[:_ROWS]


def _telling(values: pyarrow.Array, finding: Finding, known: ColumnProfile) -> pyarrow.Array:
    """Return which values show what drifted: nulls, or those outside of the former bounds."""
    import pyarrow as pa
    import pyarrow.compute

    pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them
    if finding.metric == "nulls":
        return pc.is_null(values)
    plain = values.dictionary_decode() if isinstance(values, pa.DictionaryArray) else values
    low, high = (pa.scalar(bound, plain.type) for bound in (known.min, known.max))
    return pc.fill_null(pc.or_(pc.less(plain, low), pc.greater(plain, high)), False)
