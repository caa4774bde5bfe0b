"""Planted faults in data by which no threshold was chosen: real files, partitions, and columns of other kinds."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from lake_assets.quality import Profile, profile
from lake_assets.quality.drift import drift
from lake_assets.quality.partition_drift import drift_of_partition
from lake_assets_tests.quality.planted import FAULTS, Random, again, hours, strange
from lake_assets_tests.quality.test_profile import HOUR, USERS

REAL = ("users", "xetra 08")


@cache
def base(source: str) -> tuple[pa.Table, Profile]:
    if source == "users":
        table = pq.read_table(USERS)
    elif source == "xetra 08":
        table = pyarrow.csv.read_csv(HOUR)
    else:
        table = strange(np.random.default_rng(2026), int(source))
    return table, profile(table)


def clean(source: str, rng: Random, variant: int) -> pa.Table:
    """Return rows that are drawn again, or made anew: large ones are not made for each variant."""
    if source in REAL or int(source) > 10_000 or variant % 2:
        return again(base(source)[0], rng)
    return strange(rng, int(source))


def missed(source: str, fault: str, variants: int) -> list[str]:
    old, before = base(source)
    found: list[str] = []
    for variant in range(variants):
        rng = np.random.default_rng([variant, *map(ord, source + fault)])
        table, where = FAULTS[fault](clean(source, rng, variant), old, rng)
        if not drift(before, profile(table)):
            found.append(where)
    return found


def alarms(source: str, samples: int) -> list[str]:
    _, before = base(source)
    new = (clean(source, np.random.default_rng([at, *map(ord, source)]), at) for at in range(samples))
    return [finding.description for table in new for finding in drift(before, profile(table))[:1]]


def sources(*names: str) -> list[object]:
    there = {"users": USERS.exists(), "xetra 08": HOUR.exists()}
    return [pytest.param(name, marks=pytest.mark.skipif(not there.get(name, True), reason="no data")) for name in names]


def applies(source: str, fault: str) -> bool:
    """Tell whether the table has a column for the fault: the hour's texts are all ASCII, and it has one day."""
    return not (source == "xetra 08" and fault == "mojibake")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_in_a_thousand_rows_of_other_columns(fault: str) -> None:
    assert missed("1000", fault, 1) == []


@pytest.mark.soak
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("source", sources("users", "xetra 08", "1000", "8000", "100000"))
def test_of_20_variants_19_are_found(source: str, fault: str) -> None:
    if applies(source, fault):
        assert len(missed(source, fault, 20)) <= 1


@pytest.mark.soak
@pytest.mark.parametrize("source", sources("users", "xetra 08", "1000", "8000", "100000"))
def test_100_clean_samples_raise_at_most_2_alarms(source: str) -> None:
    assert len(alarms(source, 100)) <= 2


def partition_findings(seed: list[int], plant: Callable[[pa.Table, pa.Table, Random], pa.Table]) -> list[str]:
    rng = np.random.default_rng(seed)
    *others, new = hours(rng, 7)
    return [
        one.description
        for one in drift_of_partition([profile(one) for one in others], profile(plant(new, others[-1], rng)))
    ]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("variants", [1, pytest.param(20, marks=pytest.mark.soak)])
def test_faults_are_found_in_a_new_partition(fault: str, variants: int) -> None:
    found = [
        partition_findings([variant, *map(ord, fault)], lambda new, old, rng: FAULTS[fault](new, old, rng)[0])
        for variant in range(variants)
    ]
    assert sum(map(bool, found)) >= 0.95 * variants


@pytest.mark.parametrize("samples", [3, pytest.param(100, marks=pytest.mark.soak)])
def test_clean_partitions_raise_at_most_2_alarms(samples: int) -> None:
    found = [partition_findings([at], lambda new, old, rng: new) for at in range(samples)]
    assert sum(map(bool, found)) <= samples // 50, found


@pytest.mark.parametrize("number", [1, 2, 4])
def test_numbers_and_times_that_go_on_are_no_drift(number: int) -> None:
    parts = [
        profile(pa.table({"id": np.arange(at * 1000, (at + 1) * 1000), "day": pa.array([at] * 1000, pa.date32())}))
        for at in range(number + 1)
    ]
    assert drift_of_partition(parts[:-1], parts[-1]) == []


def test_rows_that_come_again_with_new_times_are_stale() -> None:
    (old,) = hours(np.random.default_rng(3), 1)
    later = old.set_column(1, "time", pa.array([value.replace(day=2) for value in old["time"].to_pylist()]))
    metrics = [one.metric for one in drift_of_partition([profile(old)], profile(later))]
    assert "stale" in metrics


def test_columns_that_change_their_order_are_found() -> None:
    table, *_ = hours(np.random.default_rng(4), 1)
    swapped = table.rename_columns({"low": "high", "high": "low"}).select(table.column_names)
    assert [(one.metric, one.column) for one in drift(profile(table), profile(swapped))] == [("order", "low")]


def test_few_values_that_are_garbled_are_found_where_none_were() -> None:
    names = ["Siemens"] * 990 + ["Müller"] * 10
    before, after = (profile(pa.table({"name": one})) for one in (names, [*names[:990], *["MÃ¼ller"] * 10]))
    assert {one.metric for one in drift(before, after)} >= {"garbled"}
