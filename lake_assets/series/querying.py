"""Queries of series: samples, or sums over intervals and labels. For whole intervals, kept sums are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from lake_assets.lake.errors import PathNotFound
from lake_assets.lake.rows import bounded_connection, open_rows, place_in, sql_name, sql_text
from lake_assets.series.aggregates import STEPS, grouped, partials, schema
from lake_assets.series.changing import days, sums_path
from lake_assets.series.samples import FUNCTIONS, TIME, Metric, SeriesError
from lake_assets.series.times import in_utc

if TYPE_CHECKING:
    import pyarrow
    from duckdb import DuckDBPyConnection

    from lake_assets.lake.contract import Lake

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_FIRST = datetime(1, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is asked of a metric.

    Parameters
    ----------
    start, end
        The time range, from the first until before the second. Without a zone, they are in UTC.
    labels
        Label to its wanted values. Empty for all.
    fields
        The fields. Empty for all.
    functions
        Names of :data:`~lake_assets.series.aggregates.FUNCTIONS`. Empty for the samples themselves.
    step
        The length of intervals. None for one interval.
    group_by
        The labels that are kept apart. None for all.
    """

    start: datetime
    end: datetime
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    fields: Sequence[str] = ()
    functions: Sequence[str] = ()
    step: timedelta | None = None
    group_by: Sequence[str] | None = None

    def __post_init__(self) -> None:
        # Days are those of UTC, and times of one zone are compared by their clocks, which go back once a year.
        for name in ("start", "end"):
            object.__setattr__(self, name, in_utc(getattr(self, name)))
        for name in ("fields", "functions"):
            object.__setattr__(self, name, tuple(dict.fromkeys(getattr(self, name))))


def metric_of(lake: Lake, ref: str, prefix: str) -> Metric:
    """Return the columns of the series of an asset.

    Parameters
    ----------
    lake, ref, prefix
        Where the series are.

    Raises
    ------
    SeriesError
        The asset holds no samples.
    """
    import pyarrow.parquet as pq

    held = days(lake, ref, prefix)
    if not held:
        raise SeriesError(f"{prefix} holds no samples at {ref}")
    snapshot = lake.path(ref, f"{prefix}/{held[-1]}.parquet")
    return Metric.of(pq.read_schema(snapshot.root, filesystem=snapshot.filesystem))


def query(lake: Lake, ref: str, prefix: str, asked: Query) -> pyarrow.Table:
    """Return samples, or sums over intervals, sorted by labels, field and time.

    Parameters
    ----------
    lake, ref, prefix
        Where the series are.
    asked
        What is asked.

    Raises
    ------
    SeriesError
        The asset holds no samples, or no such label, field or function.
    """
    commit = lake.head(ref).id
    if not days(lake, commit, prefix):
        raise SeriesError(f"{prefix} holds no samples at {ref}")
    metric = metric_of(lake, commit, prefix)
    _check(metric, asked)
    with bounded_connection() as connection:
        if not asked.functions:
            names = [*metric.labels, TIME, *(asked.fields or metric.fields)]
            rows = _samples(
                connection, lake, commit, prefix=prefix, metric=metric, ranges=[(asked.start, asked.end)], asked=asked
            )
            listed = ", ".join(map(sql_name, names))
            return connection.sql(f"SELECT {listed} FROM {rows} ORDER BY {metric.order}").to_arrow_table()  # noqa: S608
        return _sums(connection, lake, commit, prefix=prefix, metric=metric, asked=asked)


def _check(metric: Metric, asked: Query) -> None:
    for what, given, known in (
        ("label", asked.labels, metric.labels),
        ("label", asked.group_by or (), metric.labels),
        ("field", asked.fields, metric.fields),
        ("function", asked.functions, FUNCTIONS),
    ):
        for name in given:
            if name not in known:
                raise SeriesError(f"there is no {what} {name!r}, but {', '.join(known)}")
    if asked.start >= asked.end:
        raise SeriesError(f"the range begins at {asked.start}, and ends at {asked.end}: give an end after the start")
    if asked.step is not None and not asked.functions:
        raise SeriesError("a step needs a function, such as avg")
    if asked.step is not None:
        _check_step(asked.step, asked.start)


def _check_step(step: timedelta, start: datetime) -> None:
    if step <= timedelta(0):
        raise SeriesError(f"the step is {step}: give a longer one")
    if step > _EPOCH - _FIRST or (start - _EPOCH) // step * step < _FIRST - _EPOCH:
        raise SeriesError(f"the step is {step}: give one whose intervals begin in the years 1 to 9999")


def _sums(
    connection: DuckDBPyConnection, lake: Lake, commit: str, *, prefix: str, metric: Metric, asked: Query
) -> pyarrow.Table:
    kept, inner, edges = split(asked)
    wanted = Metric(metric.labels, asked.fields or metric.fields)
    parts = [
        partials(wanted, _samples(connection, lake, commit, prefix=prefix, metric=metric, ranges=edges, asked=asked))
    ]
    if kept:
        parts.append(
            _kept(connection, lake, commit, prefix=prefix, metric=metric, step=kept, covered=inner, asked=asked)
        )
    group_by = metric.labels if asked.group_by is None else [name for name in metric.labels if name in asked.group_by]
    rows = " UNION ALL BY NAME ".join(f"({part})" for part in parts)
    merged = grouped(rows, metric.labels, asked.step, _literal(asked.start), group_by)
    names = [*group_by, "field", TIME, *asked.functions]
    order = ", ".join(map(sql_name, names[: len(group_by) + 2]))
    listed = ", ".join(map(sql_name, names))
    return connection.sql(f"SELECT {listed} FROM ({merged}) ORDER BY {order}").to_arrow_table()  # noqa: S608


def split(asked: Query) -> tuple[str, tuple[datetime, datetime], list[tuple[datetime, datetime]]]:
    """Return the longest intervals whose kept sums serve, the range that they cover, and the rest at both ends.

    Parameters
    ----------
    asked
        What is asked.
    """
    for name, length in reversed(STEPS.items()):
        if asked.step is not None and asked.step % length:
            continue
        first = _EPOCH + -((_EPOCH - asked.start) // length) * length
        last = _EPOCH + (asked.end - _EPOCH) // length * length
        if first < last:
            edges = [(asked.start, first), (last, asked.end)]
            return name, (first, last), [(start, end) for start, end in edges if start < end]
    return "", (asked.start, asked.start), [(asked.start, asked.end)]


def _samples(
    connection: DuckDBPyConnection,
    lake: Lake,
    commit: str,
    *,
    prefix: str,
    metric: Metric,
    ranges: Sequence[tuple[datetime, datetime]],
    asked: Query,
) -> str:
    """Return the name of a view of the samples in time ranges."""
    wanted = sorted({day for start, end in ranges for day in _days(lake, commit, prefix, start, end)})
    paths = [f"{prefix}/{day}.parquet" for day in wanted]
    return _view(
        connection,
        lake,
        commit,
        folder=prefix,
        name="samples",
        paths=paths,
        columns=metric.schema,
        ranges=ranges,
        asked=asked,
    )


def _kept(
    connection: DuckDBPyConnection,
    lake: Lake,
    commit: str,
    *,
    prefix: str,
    metric: Metric,
    step: str,
    covered: tuple[datetime, datetime],
    asked: Query,
) -> str:
    """Return a query for the sums that are kept of a time range."""
    paths = [sums_path(prefix, step, day) for day in _days(lake, commit, prefix, *covered)]
    folder = sums_path(prefix, step, "").rpartition("/")[0]
    view = _view(
        connection,
        lake,
        commit,
        folder=folder,
        name="kept",
        paths=paths,
        columns=schema(metric),
        ranges=[covered],
        asked=asked,
    )
    fields = ", ".join(map(sql_text, asked.fields or metric.fields))
    return f"SELECT * EXCLUDE (avg, stddev) FROM {view} WHERE field IN ({fields})"  # noqa: S608


def _days(lake: Lake, commit: str, prefix: str, start: datetime, end: datetime) -> Iterator[str]:
    last = (end - timedelta(microseconds=1)).date().isoformat()
    return (day for day in days(lake, commit, prefix) if start.date().isoformat() <= day <= last)


def _view(
    connection: DuckDBPyConnection,
    lake: Lake,
    commit: str,
    *,
    folder: str,
    name: str,
    paths: Sequence[str],
    columns: pyarrow.Schema,
    ranges: Sequence[tuple[datetime, datetime]],
    asked: Query,
) -> str:
    if paths:
        try:
            snapshot = lake.path(commit, folder)
        except PathNotFound:
            raise SeriesError(f"{folder} is not in commit {commit}: append to the series again") from None
        open_rows(connection, name, snapshot, [place_in(snapshot, path) for path in paths])
    else:
        connection.register(f"{name}_files", columns.empty_table())
    within = " OR ".join(f"({TIME} >= {_literal(start)} AND {TIME} < {_literal(end)})" for start, end in ranges)
    chosen = "".join(
        f" AND {sql_name(label)} IN ({', '.join(map(sql_text, values)) or 'NULL'})"
        for label, values in asked.labels.items()
    )
    connection.execute(f"CREATE VIEW {name} AS FROM {name}_files WHERE ({within or 'false'}){chosen}")
    return name


def _literal(moment: datetime) -> str:
    return f"TIMESTAMPTZ {sql_text(moment.astimezone(timezone.utc).isoformat())}"
