"""Changes of stored series, as increments: new samples, and samples of a time range that go away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lake_assets.frames.increment import Increment
from lake_assets.lake.names import beside
from lake_assets.lake.rows import bounded_connection
from lake_assets.series.aggregates import STEPS, aggregates
from lake_assets.series.days import read_file
from lake_assets.series.keyed import last_of_each
from lake_assets.series.samples import Metric, SeriesError, by_day, without
from lake_assets.series.times import in_utc

if TYPE_CHECKING:
    import pyarrow
    from duckdb import DuckDBPyConnection

    from lake_assets.lake.contract import Lake


def append(
    lake: Lake,
    ref: str,
    prefix: str,
    *,
    metric: Metric,
    samples: pyarrow.Table,
    position: Mapping[str, Any] | None = None,
) -> Increment:
    """Return the increment of new samples. Only their days are written again, however late they are.

    Parameters
    ----------
    lake, ref, prefix
        Where the series are.
    metric
        The columns.
    samples
        The samples. Of equal labels and time, the last one replaces the others and the stored one.
    position
        How far their source was read.

    Raises
    ------
    SeriesError
        The samples do not fit the metric.
    """
    fresh = dict(by_day(metric.conformed(samples)))

    def change(connection: DuckDBPyConnection, day: str, stored: pyarrow.Table) -> pyarrow.Table:
        return last_of_each(connection, pa.concat_tables([stored, fresh[day]]), metric.key)

    return changed(lake, ref, prefix, metric=metric, touched=fresh, change=change, position=position)


def remove(
    lake: Lake,
    ref: str,
    prefix: str,
    *,
    metric: Metric,
    start: datetime,
    end: datetime,
    labels: Mapping[str, Sequence[str]],
    position: Mapping[str, Any] | None = None,
) -> Increment:
    """Return the increment that removes the samples of a time range.

    Parameters
    ----------
    lake, ref, prefix
        Where the series are.
    metric
        The columns.
    start, end
        The range, from the first until before the second. Without a zone, they are in UTC.
    labels
        Remove only the samples with these values of labels. Empty for all.
    position
        How far their source was read.

    Raises
    ------
    SeriesError
        The range is empty, or there is no such label.
    """
    start, end = in_utc(start), in_utc(end)
    if start >= end:
        raise SeriesError(f"the range begins at {start}, and ends at {end}: give an end after the start")
    last = (end - timedelta(microseconds=1)).date().isoformat()
    touched = [day for day in days(lake, ref, prefix) if start.date().isoformat() <= day <= last]

    def change(connection: DuckDBPyConnection, day: str, stored: pyarrow.Table) -> pyarrow.Table:
        del connection, day
        return without(stored, start, end, labels)

    return changed(lake, ref, prefix, metric=metric, touched=touched, change=change, position=position)


def changed(
    lake: Lake,
    ref: str,
    prefix: str,
    *,
    metric: Metric,
    touched: Iterable[str],
    change: Callable[[DuckDBPyConnection, str, pyarrow.Table], pyarrow.Table],
    position: Mapping[str, Any] | None,
) -> Increment:
    """Return the increment of days that change, with their sums.

    Parameters
    ----------
    lake, ref, prefix
        Where the series are.
    metric
        The columns.
    touched
        The days.
    change
        Returns the samples of a day, given those that are stored.
    position
        How far their source was read.
    """
    files: dict[str, pyarrow.Table | None] = {}
    sums: dict[str, pyarrow.Table | None] = {}
    held = set(days(lake, ref, prefix))
    with bounded_connection() as connection:
        for day in touched:
            stored = read_day(lake, ref, prefix, day, metric)
            samples = change(connection, day, stored)
            if samples.equals(stored):
                continue
            if samples.num_rows:
                files[day] = samples
                sums |= {f"{name}/{day}": found for name, found in aggregates(connection, metric, samples).items()}
            elif day in held:
                files[day] = None
                sums |= {f"{name}/{day}": None for name in STEPS}
    return Increment(metric.schema, files, position or {}, sums, {"series/days": len(files)})


def days(lake: Lake, ref: str, prefix: str) -> list[str]:
    """Return the days that have samples, sorted.

    Parameters
    ----------
    lake, ref, prefix
        Where the series are.
    """
    names = (item.path[len(prefix) + 1 :] for item in lake.list(ref, prefix))
    return [name.removesuffix(".parquet") for name in names if name[:1].isdigit() and name.endswith(".parquet")]


def read_day(lake: Lake, ref: str, prefix: str, day: str, metric: Metric) -> pyarrow.Table:
    """Return the samples of a day, sorted by labels and time.

    Parameters
    ----------
    lake, ref, prefix
        Where the series are.
    day
        The day, such as ``2017-07-28``.
    metric
        The columns.
    """
    return read_file(lake, ref, f"{prefix}/{day}.parquet", metric.schema)


def sums_path(prefix: str, step: str, day: str) -> str:
    """Return the path of a day's sums in the lake.

    Parameters
    ----------
    prefix
        The asset's folder.
    step
        A name of :data:`~lake_assets.series.aggregates.STEPS`.
    day
        The day.
    """
    return f"{beside(prefix)}/{step}/{day}.parquet"
