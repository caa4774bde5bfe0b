"""Brings the series from one commit's ticks to another's: by the ticks that were added, changed or removed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lake_assets.defs.ticks.schema import KEY, METRIC
from lake_assets.frames.increment import Increment, State, read_state
from lake_assets.lake.contract import Lake
from lake_assets.lake.errors import LakeError
from lake_assets.series.changing import changed, read_day
from lake_assets.series.keyed import differences, last_of_each

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def follow_ticks(lake: Lake, before: str, ref: str, position: Mapping[str, Any]) -> Increment:
    """Return the increment of the series. What a person deleted from them stays away, unless its tick changes.

    Parameters
    ----------
    lake
        The lake.
    before
        The commit whose ticks the series reflect. Empty if there is none.
    ref
        The ref whose ticks they are to reflect.
    position
        The position after that.
    """
    old = _state(lake, before)
    new = read_state(lake, ref, "ticks")
    then, now = (state.files if state is not None else {} for state in (old, new))
    days = sorted(day for day in {*then, *now} if then.get(day) != now.get(day) and day[:1].isdigit())

    def change(connection: DuckDBPyConnection, day: str, stored: pa.Table) -> pa.Table:
        earlier = read_day(lake, before, "ticks", day, METRIC) if old is not None else METRIC.schema.empty_table()
        fresh, gone = differences(connection, earlier, read_day(lake, ref, "ticks", day, METRIC), KEY)
        connection.register("stored_samples", stored)
        connection.register("gone", gone)
        same = " AND ".join(f"s.{column} = g.{column}" for column in KEY)
        kept = connection.sql(f"FROM stored_samples s WHERE NOT EXISTS (FROM gone g WHERE {same})").to_arrow_table()
        return last_of_each(connection, pa.concat_tables([kept.cast(METRIC.schema), fresh]), KEY)

    return changed(lake, ref, "stock_series", metric=METRIC, touched=days, change=change, position=position)


def _state(lake: Lake, commit: str) -> State | None:
    """Return the state of the ticks in a commit. None if it is gone, or expired."""
    try:
        return read_state(lake, commit, "ticks") if commit else None
    except LakeError:
        return None
