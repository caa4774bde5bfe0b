"""Cleaning steps: what they change, and that they count it."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import Any, Literal

import pyarrow as pa
import pytest

from lake_assets.quality.cleaning import Cast, Deduplicate, DropColumns, DropRows, Fill, Replace, Step, clean
from lake_assets.quality.constraints import Range
from lake_assets.quality.quarantine import quarantine_changes

ROWS = pa.table(
    {
        "id": [1, 2, 2, 4],
        "salary": [1.0, None, 4.0, None],
        "kind": ["a", None, "b", "b"],
        "amount": ["1", "x", "3", None],
        "empty": pa.array([None, None, None, 1], pa.int64()),
    }
)


@pytest.mark.parametrize(
    ("step", "column", "values", "count"),
    [
        (DropRows(columns=["kind"]), "id", [1, 2, 4], 1),
        (DropRows(nulls=0.3), "id", [1, 2], 2),
        (Fill("salary", value=9.0), "salary", [1.0, 9.0, 4.0, 9.0], 2),
        (Fill("salary", "mean"), "salary", [1.0, 2.5, 4.0, 2.5], 2),
        (Fill("salary", "median"), "salary", [1.0, 2.5, 4.0, 2.5], 2),
        (Fill("kind", "most frequent"), "kind", ["a", "b", "b", "b"], 1),
        (Fill("salary", "forward"), "salary", [1.0, 1.0, 4.0, 4.0], 2),
        (Replace("kind", {"b": "c"}), "kind", ["a", None, "c", "c"], 2),
        (Cast("amount", "INTEGER"), "amount", [1, None, 3, None], 1),
        (Deduplicate(["id"]), "salary", [1.0, None, None], 1),
        (Deduplicate(["id"], "last"), "salary", [1.0, 4.0, None], 1),
    ],
)
def test_a_step_changes_this_and_counts_it(step: Step, column: str, values: list[Any], count: int) -> None:
    rows, counts = clean(ROWS, {"it": step})
    assert rows[column].to_pylist() == values
    assert counts == {"it": count}


def test_columns_of_nulls_are_dropped_and_steps_follow_each_other() -> None:
    rows, counts = clean(ROWS, {"sparse columns": DropColumns(0.5), "rows": DropRows()})
    assert rows.column_names == ["id", "salary", "kind", "amount"]
    assert counts == {"sparse columns": 1, "rows": 2}


def test_errors_name_the_step_or_the_column() -> None:
    with pytest.raises(ValueError, match="step 'it': there is no column 'nix'"):
        clean(ROWS, {"it": Fill("nix")})
    with pytest.raises(ValueError, match=r"cannot hold 2\.5: cast it first"):
        clean(pa.table({"n": [1, None, 4]}), {"it": Fill("n", "mean")})
    for wrong in ("nonsense", "INT) FROM x; --"):
        with pytest.raises(ValueError, match=r"type|cast"):
            clean(ROWS, {"it": Cast("amount", wrong)})


def test_what_entered_and_left_quarantine() -> None:
    before, after = pa.table({"x": [1, -1, -1, -2]}), pa.table({"x": [1, -1, -3]})
    entered, left = quarantine_changes(before, after, [Range(column="x", min=0)])
    assert entered["x"].to_pylist() == [-3]
    assert sorted(left["x"].to_pylist()) == [-2, -1]
    assert left["quality_reasons"].to_pylist() == [["range_x"], ["range_x"]]


@pytest.mark.parametrize(
    ("values", "by", "filled"),
    [
        ([1.0, math.nan, None, 4.0], "mean", 2.5),
        ([Decimal("1.10"), None, Decimal("2.20")], "mean", Decimal("1.65")),
        ([Decimal("1.10"), None, Decimal("1.25")], "median", Decimal("1.18")),
        ([dt.date(2020, 1, 1), None, dt.date(2020, 1, 3)], "mean", dt.date(2020, 1, 2)),
        ([dt.datetime(2020, 1, 1), None, dt.datetime(2020, 1, 3)], "median", dt.datetime(2020, 1, 2)),
    ],
)
def test_a_middle_is_of_the_columns_type(values: list[object], by: Literal["mean", "median"], filled: object) -> None:
    rows, counts = clean(pa.table({"value": values}), {"fill": Fill("value", by)})
    assert rows["value"][values.index(None)].as_py() == filled
    assert counts == {"fill": 1}


def test_what_a_column_cannot_hold_is_named() -> None:
    for step, message in (
        (Fill("text", "mean"), "text is string, which has no mean"),
        (Replace("number", {1: "x"}), "number is int64, which cannot hold"),
    ):
        with pytest.raises(ValueError, match=message):
            clean(pa.table({"text": ["a", None], "number": [1, 2]}), {"step": step})
