"""Anomalies: a level and a change that the history does not explain, together."""

from __future__ import annotations

from typing import Any

from lake_assets.quality.anomaly import AnomalyBounds, anomalies


def of(rows: float, nulls: float = 0.0) -> dict[str, Any]:
    column = {"name": "x", "rows": 100, "count": 100 - nulls, "distinct": 50, "completeness": 1 - nulls / 100}
    return {"rows": rows, "columns": [column]}


HISTORY = [of(1000 + at % 3) for at in range(8)]


def metrics(*found: Any) -> list[tuple[str, str]]:
    return [(one.metric, one.column) for one in anomalies(*found)]


def test_a_jump_is_an_anomaly_and_a_usual_value_is_none() -> None:
    assert metrics(of(1004), HISTORY) == []
    assert metrics(of(2000), HISTORY) == [("rows", "")]
    assert ("completeness", "x") in metrics(of(1001, nulls=20), HISTORY)


def test_steady_growth_is_none() -> None:
    growing = [of(1000 * 1.2**at) for at in reversed(range(12))]
    assert metrics(of(1000 * 1.2**12), growing) == []


def test_few_profiles_judge_nothing() -> None:
    assert metrics(of(9000), HISTORY[:4]) == []
    assert metrics(of(9000), HISTORY[:4], AnomalyBounds(least=3)) == [("rows", "")]


def test_one_former_anomaly_does_not_widen_the_bounds() -> None:
    assert metrics(of(2000), [*HISTORY[:4], of(50_000), *HISTORY[4:]]) == [("rows", "")]


def test_bounds_may_have_one_side() -> None:
    assert metrics(of(2000), HISTORY, AnomalyBounds(sides="low")) == []
    assert metrics(of(10), HISTORY, AnomalyBounds(sides="low")) == [("rows", "")]
