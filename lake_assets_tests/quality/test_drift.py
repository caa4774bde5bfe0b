"""Planted faults are found, and clean samples raise no alarm, all with the default thresholds."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from lake_assets.quality import Profile, profile
from lake_assets.quality.drift import drift

ROWS = 8000
Frame = pd.DataFrame
Random = np.random.Generator
NAMES = ["Müller AG", "Société Générale", "Ørsted", "Siemens", "Henkel", "Žabka", "Nestlé", "Allianz", "SAP", "Bayer"]


def sample(rng: Random, rows: int = ROWS) -> Frame:
    price = rng.lognormal(3, 0.8, rows)
    return Frame(
        {
            "trade": rng.integers(0, 2**60, rows),
            "isin": [f"DE{at:010d}" for at in rng.integers(0, 700, rows)],
            "name": rng.choice(NAMES, rows),
            "currency": rng.choice(["EUR", "USD", "CHF"], rows, p=[0.8, 0.15, 0.05]),
            "time": pd.Timestamp("2017-07-28") + pd.to_timedelta(rng.integers(0, 86400, rows), "s"),
            "price": price,
            "volume": np.where(rng.random(rows) < 0.02, np.nan, rng.gamma(2, 100, rows).round()),
            "change": rng.normal(0, 1, rows),
        }
    )


def shifted(frame: Frame, rng: Random, by: float) -> Frame:
    column = rng.choice(["price", "volume", "change"])
    return frame.assign(**{column: frame[column] + by * frame[column].std()})


def more_nulls(frame: Frame, rng: Random) -> Frame:
    column = rng.choice(["isin", "currency", "price", "volume", "change"])
    return frame.assign(
        **{column: frame[column].mask(rng.random(len(frame)) < 0.05 / (1 - frame[column].isna().mean()))}
    )


def retyped(frame: Frame, rng: Random) -> Frame:
    column = rng.choice(["price", "volume", "change", "trade"])
    return frame.assign(**{column: frame[column].astype(str)})


def swapped(frame: Frame, rng: Random) -> Frame:
    a, b = [("price", "volume"), ("price", "change"), ("name", "currency"), ("isin", "name")][rng.integers(4)]
    return frame.assign(**{a: frame[b], b: frame[a]})


def mojibake(frame: Frame, rng: Random) -> Frame:
    encoding = rng.choice(["latin-1", "cp1252"])
    return frame.assign(name=[name.encode().decode(encoding, "replace") for name in frame["name"]])


def odd_dates(frame: Frame, rng: Random) -> Frame:
    wrong = rng.random(len(frame)) < rng.choice([0.001, 0.01, 0.05])
    wrong[rng.integers(len(frame))] = True
    date = pd.Timestamp(str(rng.choice(["1970-01-01", "2099-12-31", "1900-01-01"])))
    return frame.assign(time=frame["time"].mask(wrong, date))


FAULTS: dict[str, Callable[[Frame, Frame, Random], Frame]] = {
    "a column gone": lambda new, old, rng: new.drop(columns=[rng.choice(new.columns)]),
    "type changed": lambda new, old, rng: retyped(new, rng),
    "nulls up by 5 points": lambda new, old, rng: more_nulls(new, rng),
    "shifted by a deviation": lambda new, old, rng: shifted(new, rng, float(rng.choice([-1, 1]))),
    "duplicated batch": lambda new, old, rng: pd.concat([new, new]),
    "stale partition": lambda new, old, rng: old.sample(frac=1, random_state=int(rng.integers(2**31))),
    "swapped columns": lambda new, old, rng: swapped(new, rng),
    "mojibake": lambda new, old, rng: mojibake(new, rng),
    "out-of-range dates": lambda new, old, rng: odd_dates(new, rng),
}


def profiled(frame: Frame) -> Profile:
    return profile(pa.Table.from_pandas(frame, preserve_index=False))


def found(fault: str, variants: int) -> int:
    count = 0
    for variant in range(variants):
        rng = np.random.default_rng([variant, *map(ord, fault)])
        old, new = sample(rng), sample(rng)
        count += bool(drift(profiled(old), profiled(FAULTS[fault](new, old, rng))))
    return count


def alarms(samples: int) -> list[str]:
    rng = np.random.default_rng(1)
    old = sample(rng)
    before = profiled(old)
    new = [sample(rng) if at % 2 else old.sample(len(old), replace=True, random_state=at) for at in range(samples)]
    return [finding.description for frame in new for finding in drift(before, profiled(frame))[:1]]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str) -> None:
    assert found(fault, 1) == 1


def test_clean_samples_raise_no_alarm() -> None:
    assert alarms(4) == []


@pytest.mark.soak
@pytest.mark.parametrize("fault", FAULTS)
def test_of_20_variants_of_a_fault_19_are_found(fault: str) -> None:
    assert found(fault, 20) >= 19


@pytest.mark.soak
def test_100_clean_samples_raise_at_most_2_alarms() -> None:
    assert len(alarms(100)) <= 2


def test_times_with_a_long_tail_raise_no_alarm() -> None:
    rng = np.random.default_rng(5)

    def arrivals() -> Profile:
        seconds = pd.to_timedelta(rng.exponential(86400, 2000).round(), "s")
        return profiled(Frame({"time": pd.Timestamp("2020-01-01") + seconds}))

    before = arrivals()
    assert [finding for _ in range(20) for finding in drift(before, arrivals())] == []


def test_a_quarter_of_a_deviation_is_found_too() -> None:
    rng = np.random.default_rng(4)
    old, new = sample(rng), sample(rng)
    findings = drift(profiled(old), profiled(new.assign(change=new["change"] + 0.25)))
    assert {(finding.metric, finding.column) for finding in findings} >= {("ks", "change")}


def test_a_finding_says_what_changed() -> None:
    old, new = pa.table({"a": [1], "b": ["x"]}), pa.table({"a": [1.0], "c": ["x"]})
    texts = [finding.description for finding in drift(profile(old), profile(new)) if finding.metric == "schema"]
    assert texts == ["column a was int64 and is double", "column b is gone", "column c is new"]


def test_nothing_and_something() -> None:
    empty, full = pa.table({"a": pa.array([], pa.int64())}), pa.table({"a": [1, 2]})
    assert [finding.metric for finding in drift(profile(empty), profile(full))] == ["rows"]
    assert drift(profile(empty), profile(empty)) == []


def test_rows_with_both_infinities_are_the_same_as_before() -> None:
    rows = pa.table({"a": [-math.inf, 1.0, math.inf]})
    assert [finding.metric for finding in drift(profile(rows), profile(rows))] == ["stale"]
