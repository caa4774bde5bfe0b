"""Sums over intervals that merge: of samples, of shorter intervals, and of several label sets.

The variance is that of the whole population. The rate is the change from the first to the last sample of a label set in
a second; of several label sets, it is the sum of their rates.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from lake_assets.lake.rows import sql_name, sql_text
from lake_assets.series.samples import FUNCTIONS, TIME, Metric

if TYPE_CHECKING:
    import pyarrow
    from duckdb import DuckDBPyConnection

STEPS = {"1m": timedelta(minutes=1), "1h": timedelta(hours=1), "1d": timedelta(days=1)}
"""The intervals that sums are kept of, by the name of their folder."""
_INTERNAL = ("first_time", "last_time")


def partials(metric: Metric, rows: str) -> str:
    """Return a query for samples as intervals of one sample each: labels, time, field, and the sums.

    Parameters
    ----------
    metric
        The columns of the samples.
    rows
        The view of the samples.
    """
    labels = "".join(f"{sql_name(label)}, " for label in metric.labels)
    each = (
        f"SELECT {labels}{TIME}, {sql_text(field)} AS field, 1::BIGINT AS count, {value} AS min, {value} AS max, "  # noqa: S608
        f"{value} AS sum, 0::DOUBLE AS stdvar, NULL::DOUBLE AS rate, {value} AS first, {value} AS last, "
        f"{TIME} AS first_time, {TIME} AS last_time FROM {rows} WHERE NOT isnan({value})"
        for field, value in ((field, sql_name(field)) for field in metric.fields)
    )
    return " UNION ALL ".join(each)


def grouped(rows: str, labels: Sequence[str], step: timedelta | None, start: str, group_by: Sequence[str]) -> str:
    """Return a query that merges intervals into longer ones, and then label sets into groups.

    Parameters
    ----------
    rows
        A query for intervals, such as :func:`partials` returns.
    labels
        All labels.
    step
        The length of the wanted intervals, which begin at multiples of it since 1970. None for one interval.
    start
        The time of that interval, in SQL.
    group_by
        The labels of the result.
    """
    micros = step // timedelta(microseconds=1) if step is not None else 0
    # Also before 1970, where a remainder is negative, an interval begins before its times.
    into = f"(epoch_us({TIME}) % {micros} + {micros}) % {micros}"
    bucket = f"make_timestamptz(epoch_us({TIME}) - {into})" if micros else start
    each = _merged(f"SELECT * REPLACE ({bucket} AS {TIME}) FROM ({rows})", labels, across=False)  # noqa: S608
    if list(group_by) == list(labels):
        return each
    return _merged(each, group_by, across=True, order=labels)


def _merged(rows: str, labels: Sequence[str], *, across: bool, order: Sequence[str] = ()) -> str:
    """Merge rows of equal labels and time: ``across`` label sets, or of one."""
    keys = "".join(f"{sql_name(label)}, " for label in labels) + f"{TIME}, field"
    tie = "".join(f", {sql_name(label)}" for label in order)
    seconds = "((epoch_us(max(last_time)) - epoch_us(min(first_time))) / 1e6)"
    first, last = f"arg_min(first, (first_time{tie}))", f"arg_max(last, (last_time{tie}))"
    rate = "sum(rate)" if across else f"CASE WHEN {seconds} > 0 THEN ({last} - {first}) / {seconds} END"
    # Two passes, by the mean of all: the difference of two large sums of squares would lose all digits.
    mean = "lake_assets_mean"  # A label may be named mean.
    with_mean = (
        f"SELECT *, sum(sum) OVER (PARTITION BY {keys}) / sum(count) OVER (PARTITION BY {keys}) AS {mean} FROM ({rows})"  # noqa: S608
    )
    variance = f"sum(stdvar * count + count * (sum / count - {mean}) ** 2) / sum(count)"
    return (
        f"SELECT {keys}, sum(count)::BIGINT AS count, min(min) AS min, max(max) AS max, sum(sum) AS sum, "  # noqa: S608
        f"sum(sum) / sum(count) AS avg, sqrt({variance}) AS stddev, {variance} AS stdvar, {rate} AS rate, "
        f"{first} AS first, {last} AS last, min(first_time) AS first_time, max(last_time) AS last_time "
        f"FROM ({with_mean}) GROUP BY {keys}"
    )


def aggregates(connection: DuckDBPyConnection, metric: Metric, samples: pyarrow.Table) -> dict[str, pyarrow.Table]:
    """Return the sums of samples over the intervals of :data:`STEPS`, sorted as samples are.

    Parameters
    ----------
    connection
        A connection of DuckDB.
    metric
        The columns of the samples.
    samples
        The samples of one day.
    """
    found: dict[str, pyarrow.Table] = {}
    connection.register("lake_assets_samples", samples)
    for name, step in STEPS.items():
        query = grouped(partials(metric, "lake_assets_samples"), metric.labels, step, "", metric.labels)
        found[name] = connection.sql(f"{query} ORDER BY {metric.order}, field").to_arrow_table()
    connection.unregister("lake_assets_samples")
    return {name: table.cast(schema(metric)) for name, table in found.items()}


def schema(metric: Metric) -> pyarrow.Schema:
    """Return the columns of the sums.

    Parameters
    ----------
    metric
        The columns of the samples.
    """
    time = pa.timestamp("us", "UTC")
    kinds = {"count": pa.int64(), **dict.fromkeys(_INTERNAL, time)}
    return pa.schema(
        [
            *((label, pa.string()) for label in metric.labels),
            (TIME, time),
            ("field", pa.string()),
            *((name, kinds.get(name, pa.float64())) for name in (*FUNCTIONS, *_INTERNAL)),
        ]
    )
