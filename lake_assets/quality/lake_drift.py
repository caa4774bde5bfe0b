"""Drift between two states of the lake: what differs, the partitions that carry it, and a few rows that show it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lake_assets.quality.column_profile import ColumnProfile
from lake_assets.quality.drift import drift
from lake_assets.quality.lake_profiles import batches_at, parts_at
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
        Names of columns of which no value is kept or shown.

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
        known = whole.columns.get(finding.column)
        shown = _rows(lake, after, names or list(new), finding, known, personal) if known is not None else []
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


def _rows(
    lake: Lake,
    state: tuple[str, str],
    partitions: Sequence[str],
    finding: Finding,
    known: ColumnProfile,
    personal: Collection[str],
) -> list[Mapping[str, Any]]:
    if known.personal or finding.column in personal:
        return []
    found: list[Mapping[str, Any]] = []
    for batch in _batches(lake, state, partitions):
        if finding.column not in batch.schema.names:
            return []
        shown = batch.select([name for name in batch.schema.names if name not in personal])
        found += shown.filter(_telling(batch.column(finding.column), finding, known)).slice(0, _ROWS).to_pylist()
        if len(found) >= _ROWS:
            break
    return found[:_ROWS]


def _batches(lake: Lake, state: tuple[str, str], partitions: Sequence[str]) -> Iterator[pyarrow.RecordBatch]:
    commit, folder = state
    for name in partitions:
        yield from batches_at(lake, commit, f"{folder}/{name}".rstrip("/"))


def _telling(values: pyarrow.Array, finding: Finding, known: ColumnProfile) -> pyarrow.Array:
    """Return which values show what drifted: nulls, or those outside of the former bounds."""
    import pyarrow as pa
    import pyarrow.compute

    pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them
    if finding.metric == "nulls":
        return pc.is_null(values)
    try:
        below, above = pc.less(values, pa.scalar(known.min)), pc.greater(values, pa.scalar(known.max))
        return pc.fill_null(pc.or_(below, above), False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        return pa.array([False] * len(values))
