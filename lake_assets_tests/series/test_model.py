"""Series against a plain model in pandas: samples in any order, late, twice or removed, and any query of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.lake.contract import MAIN, Lake
from lake_assets.lake.embedded import GitLake
from lake_assets.series.changing import append, days, read_day, remove, sums_path
from lake_assets.series.days import read_file
from lake_assets.series.querying import Query, query
from lake_assets.series.samples import FUNCTIONS, Metric
from lake_assets_tests.series.test_series import BRANCH, store

METRIC = Metric(["place", "kind"], ["price", "volume"])
BERLIN = ZoneInfo("Europe/Berlin")
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MICRO = timedelta(microseconds=1)
# Both changes of the clocks in Berlin, the beginning of 1970, and a day of trades.
DAYS = [
    datetime(2017, 3, 26),
    datetime(2017, 10, 29),
    datetime(1969, 12, 31),
    datetime(1970, 1, 1),
    datetime(2017, 7, 28),
]
STEPS = [None, *(timedelta(seconds=seconds) for seconds in (7, 60, 90, 300, 3600, 5400, 86400, 3 * 86400))]


@st.composite
def moments(draw: st.DrawFn) -> datetime:
    """Return a time, often at the boundary of a minute, an hour or a day, in some zone."""
    day = draw(st.sampled_from(DAYS)).replace(tzinfo=timezone.utc)
    whole = draw(st.sampled_from([timedelta(seconds=13), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)]))
    found = day + draw(st.integers(0, 3)) * whole + draw(st.integers(-1, 1)) * MICRO
    return found.astimezone(draw(st.sampled_from([timezone.utc, BERLIN])))


NUMBERS = st.one_of(st.none(), st.just(math.nan), st.floats(-1e9, 1e9), st.sampled_from([0.0, 1.5, 1e9 + 0.25]))
SAMPLES = st.fixed_dictionaries(
    {
        "place": st.sampled_from(["", "a'b", "ä", "x"]),
        "kind": st.sampled_from(["", "k"]),
        "time": moments(),
        "price": NUMBERS,
        "volume": NUMBERS,
    }
)
LABELS = st.dictionaries(
    st.just("place"), st.lists(st.sampled_from(["", "a'b", "x", "nowhere"]), max_size=2), max_size=1
)
REMOVALS = st.tuples(moments(), moments(), LABELS)
CHANGES = st.lists(st.one_of(st.lists(SAMPLES, min_size=1, max_size=12), REMOVALS), min_size=1, max_size=4)
QUERIES = st.fixed_dictionaries(
    {
        "start": moments(),
        "end": moments(),
        "labels": LABELS,
        "fields": st.sampled_from([(), ("price",), ("volume", "volume")]),
        "step": st.sampled_from(STEPS),
        "group_by": st.sampled_from([None, [], ["place"], ["kind"], ["kind", "place"]]),
    }
)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    place: Path = tmp_path_factory.mktemp("series")
    with closing(GitLake(place)) as lake:
        yield lake


class Model:
    """Samples in a frame: of equal labels and time, the last one."""

    def __init__(self) -> None:
        # Any: the stubs of pandas know no frame's columns.
        self.rows: Any = pd.DataFrame({name: [] for name in ("place", "kind", "time", "price", "volume")})

    def append(self, samples: list[dict[str, Any]]) -> None:
        fresh: Any = pd.DataFrame(samples)
        fresh["time"] = [time.astimezone(timezone.utc) for time in fresh["time"]]
        rows = [*self.rows.to_dict("records"), *fresh.to_dict("records")]
        self.rows = pd.DataFrame(rows).drop_duplicates(["place", "kind", "time"], keep="last")

    def matching(self, start: datetime, end: datetime, labels: dict[str, list[str]]) -> Any:
        found = (self.rows["time"] >= _utc(start)) & (self.rows["time"] < _utc(end))
        for label, values in labels.items():
            found &= self.rows[label].isin(values)
        return found

    def sums(self, asked: dict[str, Any]) -> dict[Any, dict[str, Any]]:
        rows = self.rows[self.matching(asked["start"], asked["end"], asked["labels"])]
        group = ["place", "kind"] if asked["group_by"] is None else asked["group_by"]
        found: dict[Any, dict[str, Any]] = {}
        for field in asked["fields"] or ("price", "volume"):
            held = rows[rows[field].notna()]
            step = asked["step"]
            buckets = [EPOCH + (time - EPOCH) // step * step if step else _utc(asked["start"]) for time in held["time"]]
            keys = [
                *(held[label] for label in METRIC.labels if label in group),
                pd.Series(buckets, held.index, dtype=object),
            ]
            for key, part in held.groupby(keys, sort=False):
                found[(*key, field)] = _sums(part.assign(value=part[field].astype(float)))
        return found


def _sums(part: pd.DataFrame) -> dict[str, Any]:
    ordered = part.sort_values(["time", "place", "kind"])
    rates: list[float] = []
    for _, one in ordered.groupby(["place", "kind"]):
        seconds = (one["time"].iloc[-1] - one["time"].iloc[0]).total_seconds()
        if seconds > 0:
            rates.append((one["value"].iloc[-1] - one["value"].iloc[0]) / seconds)
    values = part["value"]
    return {
        "count": len(values),
        "min": values.min(),
        "max": values.max(),
        "sum": math.fsum(values),
        "avg": math.fsum(values) / len(values),
        "stddev": values.std(ddof=0),
        "stdvar": values.var(ddof=0),
        "rate": sum(rates) if rates else None,
        "first": ordered["value"].iloc[0],
        "last": ordered["value"].iloc[-1],
    }


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(timezone.utc)


def check_query(lake: Lake, model: Model, asked: dict[str, Any]) -> None:
    query_ = Query(**asked, functions=FUNCTIONS)
    found = query(lake, BRANCH, "m", query_).to_pylist()
    labels = [label for label in METRIC.labels if asked["group_by"] is None or label in asked["group_by"]]
    rows = {(*(row[label] for label in labels), row["time"], row["field"]): row for row in found}
    wanted = model.sums(asked)
    assert len(rows) == len(found)
    assert rows.keys() == wanted.keys()
    for key, sums in wanted.items():
        largest = max(abs(sums["min"]), abs(sums["max"]), 1.0)
        for name, value in sums.items():
            # A variance of values that are all alike, but for rounding.
            near = {"stdvar": largest**2 * 1e-12, "stddev": largest * 1e-6}.get(name, largest * 1e-9)
            assert rows[key][name] == (None if value is None else pytest.approx(value, rel=1e-6, abs=near)), (key, name)


def check_samples(lake: Lake, model: Model, asked: dict[str, Any]) -> None:
    found = query(lake, BRANCH, "m", Query(**{**asked, "step": None})).to_pylist()
    rows = model.rows[model.matching(asked["start"], asked["end"], asked["labels"])].to_dict("records")
    fields = list(dict.fromkeys(asked["fields"])) or ["price", "volume"]

    def told(row: Any) -> tuple[Any, ...]:
        values = (None if pd.isna(row[field]) else float(row[field]) for field in fields)
        return row["place"], row["kind"], row["time"].timestamp(), *values

    assert list(map(told, found)) == sorted(map(told, rows), key=lambda row: row[:3])


def check_kept_sums(lake: Lake) -> None:
    """Check that the kept sums of each day, and of no other, count its samples."""
    held = days(lake, BRANCH, "m")
    for step in ("1m", "1h", "1d"):
        for day in held:
            sums = read_file(lake, BRANCH, sums_path("m", step, day), pa.schema([("count", pa.int64())]))
            samples = read_day(lake, BRANCH, "m", day, METRIC)
            values = sum(len(samples.column(name).drop_null()) for name in METRIC.fields)
            assert sum(sums.column("count").to_pylist()) == values
        folder = sums_path("m", step, "").rpartition("/")[0]
        assert [item.path.rpartition("/")[2].removesuffix(".parquet") for item in lake.list(BRANCH, folder)] == held


def check(lake: Lake, changes: list[Any], queries: list[dict[str, Any]]) -> None:
    if BRANCH in lake.branches():
        lake.delete_branch(BRANCH)
    lake.create_branch(BRANCH, MAIN)
    model = Model()
    for change in changes:
        if isinstance(change, list):
            samples = pa.Table.from_pylist(change, METRIC.schema)
            store(lake, append(lake, BRANCH, "m", metric=METRIC, samples=samples))
            assert append(lake, BRANCH, "m", metric=METRIC, samples=samples).files == {}
            model.append(change)
        elif _utc(change[0]) < _utc(change[1]):
            start, end, labels = change
            store(lake, remove(lake, BRANCH, "m", metric=METRIC, start=start, end=end, labels=labels))
            model.rows = model.rows[~model.matching(*change)] if len(model.rows) else model.rows
    check_kept_sums(lake)
    if not len(model.rows):
        assert days(lake, BRANCH, "m") == []
        return
    for asked in queries:
        if _utc(asked["start"]) < _utc(asked["end"]):
            check_query(lake, model, asked)
            check_samples(lake, model, asked)


@settings(max_examples=6)
@given(CHANGES, st.lists(QUERIES, min_size=3, max_size=6))
def test_any_changes_and_queries_agree_with_pandas(
    lake: Lake, changes: list[Any], queries: list[dict[str, Any]]
) -> None:
    check(lake, changes, queries)


@pytest.mark.soak
@settings(max_examples=150)
@given(CHANGES, st.lists(QUERIES, min_size=3, max_size=6))
def test_many_changes_and_queries_agree_with_pandas(
    lake: Lake, changes: list[Any], queries: list[dict[str, Any]]
) -> None:
    check(lake, changes, queries)
