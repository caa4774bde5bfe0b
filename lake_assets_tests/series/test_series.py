"""Series in the lake: what is appended comes back, sums agree with it, and late samples change only their day."""

from __future__ import annotations

import math
import random
import statistics
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lake_assets.frames.increment import Increment, write_file
from lake_assets.lake.contract import MAIN, Lake
from lake_assets.lake.names import beside
from lake_assets.series.changing import append, days, remove
from lake_assets.series.querying import Query, query, split
from lake_assets.series.samples import FUNCTIONS, Metric, SeriesError
from lake_assets.series.times import parse_duration, parse_time
from lake_assets_tests.lake.backends import BACKENDS, LakeSpec, fresh_place

METRIC = Metric(["isin", "currency"], ["price", "volume"])
DAY = datetime(2017, 7, 28, tzinfo=timezone.utc)
BRANCH = "work"


@pytest.fixture(params=BACKENDS)
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lake]:
    with closing(LakeSpec(request.param, fresh_place(request.param, tmp_path)).open()) as lake:
        lake.create_branch(BRANCH, MAIN)
        yield lake


def sample(
    isin: str, time: datetime, price: float | None, volume: float = 1.0, currency: str = "EUR"
) -> dict[str, Any]:
    return {"isin": isin, "currency": currency, "time": time, "price": price, "volume": volume}


def table(samples: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(samples, METRIC.schema)


def store(lake: Lake, increment: Increment) -> None:
    folders = [beside("m") + f"/{name}" for name in ("1m", "1h", "1d")]
    with lake.write(BRANCH, "other", beside=["m", *folders]) as write:
        with write.filesystem.open_output_stream(f"{write.root}/x") as stream:
            stream.write(str(random.random()).encode())
        for folder, files in (("m", increment.files), (beside("m"), increment.beside)):
            for name, rows in files.items():
                path = f"{folder}/{name}.parquet"
                if rows is None:
                    write.removed.add(path)
                    continue
                place = write.place(path)
                write.filesystem.create_dir(place.rpartition("/")[0], recursive=True)
                write_file(write.filesystem, place, rows)


def put(lake: Lake, samples: list[dict[str, Any]]) -> Increment:
    increment = append(lake, BRANCH, "m", metric=METRIC, samples=table(samples))
    store(lake, increment)
    return increment


def ask(
    lake: Lake, start: datetime = DAY, end: datetime = DAY + timedelta(days=10), **asked: Any
) -> list[dict[str, Any]]:
    return query(lake, BRANCH, "m", Query(start=start, end=end, **asked)).to_pylist()


def test_samples_come_back_by_range_label_and_field(lake: Lake) -> None:
    put(lake, [sample("B", DAY + timedelta(hours=2), 3), sample("A", DAY + timedelta(hours=1), 2), sample("A", DAY, 1)])
    assert [(row["isin"], row["price"]) for row in ask(lake)] == [("A", 1), ("A", 2), ("B", 3)]
    assert [row["price"] for row in ask(lake, DAY + timedelta(hours=1), DAY + timedelta(hours=2))] == [2]
    assert [row["price"] for row in ask(lake, labels={"isin": ["B"]})] == [3]
    assert list(ask(lake, fields=["volume"])[0]) == ["isin", "currency", "time", "volume"]


def test_equal_labels_and_time_replace_and_late_samples_change_only_their_day(lake: Lake) -> None:
    put(lake, [sample("A", DAY + timedelta(days=number), number) for number in range(3)])
    late = [sample("A", DAY + timedelta(days=1, hours=1), 7), sample("A", DAY, 8), sample("A", DAY, 9)]
    increment = put(lake, late)
    assert sorted(increment.files) == ["2017-07-28", "2017-07-29"]
    assert [row["price"] for row in ask(lake)] == [9, 1, 7, 2]
    assert put(lake, late).files == {}


def test_a_range_is_deleted_and_an_empty_day_goes_away(lake: Lake) -> None:
    put(lake, [sample(isin, DAY + timedelta(days=day), day) for day in range(3) for isin in "AB"])
    half = DAY + timedelta(days=1)
    store(
        lake, remove(lake, BRANCH, "m", metric=METRIC, start=half, end=half + timedelta(days=5), labels={"isin": ["A"]})
    )
    assert [(row["isin"], row["price"]) for row in ask(lake)] == [("A", 0), ("B", 0), ("B", 1), ("B", 2)]
    store(lake, remove(lake, BRANCH, "m", metric=METRIC, start=half, end=half + timedelta(days=1), labels={}))
    assert days(lake, BRANCH, "m") == ["2017-07-28", "2017-07-30"]
    assert [
        row["count"] for row in ask(lake, functions=["count"], step=timedelta(days=1), group_by=[], fields=["price"])
    ] == [2, 1]


def expected(
    samples: list[dict[str, Any]], start: datetime, end: datetime, step: timedelta | None, group: list[str]
) -> dict[Any, Any]:
    """Work the sums out one by one."""
    groups: dict[Any, dict[Any, list[tuple[datetime, float]]]] = defaultdict(lambda: defaultdict(list))
    unix = datetime(1970, 1, 1, tzinfo=timezone.utc)
    for one in sorted(samples, key=lambda row: (row["isin"], row["currency"], row["time"])):
        if start <= one["time"] < end and one["price"] is not None:
            bucket = unix + (one["time"] - unix) // step * step if step else start
            key = (*(one[label] for label in group), bucket)
            groups[key][one["isin"], one["currency"]].append((one["time"], one["price"]))
    found: dict[Any, Any] = {}
    for key, series in groups.items():
        values = [value for each in series.values() for _, value in each]
        ordered = sorted((time, labels, value) for labels, each in series.items() for time, value in each)
        rates = [
            (each[-1][1] - each[0][1]) / (each[-1][0] - each[0][0]).total_seconds()
            for each in series.values()
            if each[-1][0] > each[0][0]
        ]
        found[key] = {
            "count": len(values),
            "min": min(values),
            "max": max(values),
            "sum": math.fsum(values),
            "avg": statistics.fmean(values),
            "stddev": statistics.pstdev(values),
            "stdvar": statistics.pvariance(values),
            "rate": sum(rates) if rates else None,
            "first": ordered[0][2],
            "last": ordered[-1][2],
        }
    return found


@pytest.mark.parametrize("lake", ["embedded"], indirect=True)
def test_sums_agree_with_the_samples_whatever_the_range_step_and_group(lake: Lake) -> None:
    pick = random.Random(5)
    samples = [
        # Large values that differ little: sums of squares would lose the variance.
        sample(
            isin,
            DAY + timedelta(seconds=pick.randrange(3 * 86400)),
            pick.choice([None, 1e9 + pick.random()]),
            2,
            currency,
        )
        for isin in ("A", "B")
        for currency in ("EUR", "USD")
        for _ in range(150)
    ]
    unique = {(one["isin"], one["currency"], one["time"]): one for one in samples}
    put(lake, samples[:300])
    put(lake, samples[300:])
    minute, hour = timedelta(minutes=1), timedelta(hours=1)
    ranges = [
        (DAY, DAY + timedelta(days=3)),
        (DAY + timedelta(seconds=4321), DAY + timedelta(days=2, seconds=5)),
        (DAY + timedelta(hours=1), DAY + timedelta(hours=1, seconds=30)),
    ]
    for start, end in ranges:
        for step in (None, timedelta(seconds=90), 5 * minute, hour, timedelta(days=1), timedelta(days=7)):
            for group in (["isin", "currency"], ["isin"], []):
                found = ask(lake, start, end, functions=FUNCTIONS, step=step, group_by=group, fields=["price"])
                rows = {(*(row[label] for label in group), row["time"]): row for row in found}
                wanted = expected(list(unique.values()), start, end, step, group)
                assert rows.keys() == wanted.keys()
                for key, sums in wanted.items():
                    for name, value in sums.items():
                        assert rows[key][name] == (
                            None if value is None else pytest.approx(value, rel=1e-9, abs=1e-6)
                        ), (key, name)


def test_whole_intervals_are_read_from_kept_sums() -> None:
    week = Query(start=DAY, end=DAY + timedelta(days=7), step=timedelta(days=1), functions=["avg"])
    assert split(week) == ("1d", (DAY, DAY + timedelta(days=7)), [])
    start, end = DAY + timedelta(minutes=30), DAY + timedelta(hours=3, seconds=1)
    odd = Query(start=start, end=end, step=timedelta(hours=2), functions=["avg"])
    first, last = DAY + timedelta(hours=1), DAY + timedelta(hours=3)
    assert split(odd) == ("1h", (first, last), [(start, first), (last, end)])
    fine = Query(start=start, end=end, step=timedelta(seconds=7), functions=["avg"])
    assert split(fine)[0] == ""


@pytest.mark.parametrize("lake", ["embedded"], indirect=True)
def test_what_is_not_there_is_named(lake: Lake) -> None:
    with pytest.raises(SeriesError, match="m holds no samples at work"):
        ask(lake)
    put(lake, [sample("A", DAY, 1)])
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"labels": {"colour": ["red"]}}, "no label 'colour', but isin, currency"),
        ({"fields": ["x"]}, "no field 'x', but price, volume"),
        ({"functions": ["median"]}, "no function 'median', but count"),
        ({"step": timedelta(hours=1)}, "a step needs a function"),
        ({"step": timedelta(0), "functions": ["avg"]}, "the step is 0:00:00: give a longer one"),
        ({"step": timedelta(days=10**6), "functions": ["avg"]}, "in the years 1 to 9999"),
        ({"step": timedelta.max, "functions": ["avg"]}, "in the years 1 to 9999"),
        ({"start": DAY, "end": DAY}, "give an end after the start"),
    ]
    for asked, told in wrong:
        with pytest.raises(SeriesError, match=told):
            ask(lake, **asked)
    with pytest.raises(SeriesError, match=r"1 sample\(s\) have no isin"):
        put(lake, [{**sample("A", DAY, 1), "isin": None}])
    with pytest.raises(SeriesError, match="lack the column"):
        append(lake, BRANCH, "m", metric=METRIC, samples=pa.table({"isin": ["A"]}))


def test_times_of_queries() -> None:
    now = datetime(2026, 11, 27, 1, 0, tzinfo=timezone.utc)
    assert parse_time("now", now) == now
    assert parse_time("now-1h", now) == now - timedelta(hours=1)
    assert parse_time("2017-07-28", now) == DAY
    assert parse_time("2017-07-28T02:00:00+02:00", now) == DAY
    assert parse_time("1501200000000", now) == DAY
    assert parse_duration("90s") == timedelta(seconds=90)
    for wrong in ("yesterday", "now-", "now-1y", "", "2017-13-01"):
        with pytest.raises(ValueError, match=r"is no (time|duration)"):
            parse_time(wrong, now)
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration("0s")
    with pytest.raises(ValueError, match="'999999999w' is too long a duration"):
        parse_duration("999999999w")


@pytest.mark.parametrize("lake", ["embedded"], indirect=True)
def test_a_range_may_be_in_any_zone_and_before_1970(lake: Lake) -> None:
    berlin = timezone(timedelta(hours=2))
    old = datetime(1969, 12, 31, 23, 59, 30, tzinfo=timezone.utc)
    put(lake, [sample("A", old, 1), sample("A", DAY - timedelta(minutes=30), 2), sample("A", DAY, 3)])
    minute = timedelta(minutes=1)
    found = ask(lake, old, old + minute, functions=["last"], step=timedelta(seconds=7), fields=["price"])
    assert [row["time"] for row in found] == [old - timedelta(seconds=5)]
    start = (DAY - timedelta(hours=1)).astimezone(berlin)
    assert [row["price"] for row in ask(lake, start, start + timedelta(hours=1))] == [2]
    assert [row["price"] for row in ask(lake, start.astimezone(timezone.utc).replace(tzinfo=None))] == [2, 3]
    store(lake, remove(lake, BRANCH, "m", metric=METRIC, start=start, end=start + timedelta(hours=1), labels={}))
    assert [row["price"] for row in ask(lake, old)] == [1, 3]
    with pytest.raises(SeriesError, match="give an end after the start"):
        remove(lake, BRANCH, "m", metric=METRIC, start=DAY, end=DAY, labels={})


@pytest.mark.parametrize("lake", ["embedded"], indirect=True)
def test_a_label_may_have_a_name_of_statistics(lake: Lake) -> None:
    metric = Metric(["mean"], ["stddev"])
    samples = pa.table(
        {"mean": ["a", "a", "b"], "time": [DAY, DAY + timedelta(hours=1), DAY], "stddev": [1.0, 3.0, 5.0]}
    )
    store(lake, append(lake, BRANCH, "m", metric=metric, samples=samples))
    found = ask(lake, functions=["avg", "stddev"])
    assert [(row["mean"], row["avg"], row["stddev"]) for row in found] == [("a", 2.0, 1.0), ("b", 5.0, 0.0)]


def test_a_value_that_is_no_number_is_none(lake: Lake) -> None:
    samples = [sample("A", DAY, math.nan), sample("A", DAY + timedelta(seconds=1), 2), sample("", DAY, math.nan)]
    put(lake, samples)
    assert put(lake, samples).files == {}
    found = ask(lake, functions=["count", "min", "max", "avg"], fields=["price", "price"], group_by=[])
    assert [(row["count"], row["min"], row["max"], row["avg"]) for row in found] == [(1, 2, 2, 2)]
    assert [row["price"] for row in ask(lake)] == [None, None, 2]
    assert ask(lake, labels={"isin": []}) == ask(lake, functions=["avg"], labels={"isin": []}) == []
    assert len(ask(lake, labels={"isin": [""]})) == 1


def test_columns_that_would_be_taken_for_others_are_refused() -> None:
    for labels, fields in ((["count"], ["price"]), (["Time"], ["price"]), (["isin", "ISIN"], ["x"]), (["a"], ["A"])):
        with pytest.raises(SeriesError, match=r"cannot be named|not of different names"):
            Metric(labels, fields)
    with pytest.raises(SeriesError, match="at least one field"):
        Metric(["isin"], [])
    metric = Metric(["isin"], ["count", "order"])
    wrong = pa.table({"isin": ["A"], "time": [DAY], "count": ["many"], "order": [1]})
    with pytest.raises(SeriesError, match="do not fit the metric"):
        metric.conformed(wrong)
