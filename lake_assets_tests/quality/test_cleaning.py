"""Cleaning steps: what they change, and that they count it."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.quality.cleaning import Cast, Deduplicate, DropColumns, DropRows, Fill, Replace, Step, clean
from lake_assets.quality.constraints import Range
from lake_assets.quality.quarantine import quarantine_changes
from lake_assets_tests.depth import examples

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

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
        ([2**53 + 1, None], "median", 2**53 + 1),
        ([2**62, 2**62 + 2, None, 2**62 + 4], "mean", 2**62 + 2),
        ([Decimal("12345678901234567890.1234567890"), None], "mean", Decimal("12345678901234567890.1234567890")),
    ],
)
def test_a_middle_is_of_the_columns_type(values: list[object], by: Literal["mean", "median"], filled: object) -> None:
    rows, counts = clean(pa.table({"value": values}), {"fill": Fill("value", by)})
    assert rows["value"][values.index(None)].as_py() == filled
    assert counts == {"fill": sum(one is None or one != one for one in values)}


def test_a_middle_of_nanoseconds_is_one_of_them() -> None:
    values = pa.array([10**18 + 1, None], pa.timestamp("ns"))
    rows, _ = clean(pa.table({"value": values}), {"fill": Fill("value", "median")})
    assert rows["value"].cast(pa.int64()).to_pylist() == [10**18 + 1] * 2


@pytest.mark.parametrize(
    ("step", "cleaned"),
    [
        (Replace("kind", {"a": "c"}), ["c", None, "b"]),
        (Fill("kind", "forward"), ["a", "a", "b"]),
        (Fill("kind", "constant", "new"), ["a", "new", "b"]),
        (Fill("kind", "most frequent"), ["a", "a", "b"]),
        (Deduplicate(["kind"]), ["a", None, "b"]),
    ],
)
def test_categories_of_pandas_are_cleaned_like_texts(step: Step, cleaned: list[str | None]) -> None:
    frame = pd.DataFrame({"kind": pd.Categorical(["a", None, "b"])})
    assert clean(frame, {"step": step})[0]["kind"].to_pylist() == cleaned


def test_any_value_is_carried_forward() -> None:
    for values in ([None, [1], None], [None, dt.timedelta(1), None]):
        rows, counts = clean(pa.table({"value": values}), {"fill": Fill("value", "forward")})
        assert rows["value"].to_pylist() == [None, values[1], values[1]]
        assert counts == {"fill": 1}


def test_zeros_with_and_without_a_sign_are_one_key() -> None:
    rows, counts = clean(pa.table({"key": [-0.0, 0.0]}), {"once": Deduplicate(["key"])})
    assert (rows["key"].to_pylist(), counts) == ([-0.0], {"once": 1})


def test_names_of_types_are_those_of_duckdb() -> None:
    steps = {"list": Cast("list", "INTEGER[]"), "time": Cast("time", "TIMESTAMP_NS")}
    rows, _ = clean(pa.table({"list": ["[1]"], "time": ["2020-01-01"]}), steps)
    assert rows["list"].to_pylist() == [[1]]
    assert rows.schema.field("time").type == pa.timestamp("ns")


def test_what_a_column_cannot_hold_is_named() -> None:
    for step, message in (
        (Fill("text", "mean"), "text is string, which has no mean"),
        (Replace("number", {1: "x"}), "number is int64, which cannot hold"),
        (Deduplicate(["list"]), "step 'step' is not for the types of its columns: Keys of type list"),
    ):
        with pytest.raises(ValueError, match=message):
            clean(pa.table({"text": ["a", None], "number": [1, 2], "list": [[1], [2]]}), {"step": step})


def _nullable(rows: pa.Table) -> pd.DataFrame:
    known = {name: np.array([one is not None for one in column.to_pylist()]) for name, column in _columns(rows)}
    return pd.DataFrame(
        {name: pd.arrays.FloatingArray(column.fill_null(0).to_numpy(), ~known[name]) for name, column in _columns(rows)}
    )


def _columns(rows: pa.Table) -> list[tuple[str, Any]]:
    return list(zip(rows.column_names, rows.columns, strict=True))


LIBRARIES: list[Callable[[pa.Table], Any]] = [
    lambda rows: rows,
    lambda rows: rows.to_pandas(),  # pandas on NumPy
    _nullable,
    lambda rows: rows.to_pandas(types_mapper=pd.ArrowDtype),
    pl.from_arrow,
]
FLOATS = st.sampled_from([None, math.nan, -1.0, 0.5, 2.0])
TABLES = st.lists(st.tuples(FLOATS, FLOATS), min_size=1, max_size=8).map(
    lambda rows: pa.table(
        {name: pa.array(one, pa.float64()) for name, one in zip("ab", zip(*rows, strict=True), strict=True)}
    )
)
STEPS: list[Step] = [
    DropRows(),
    DropRows(0.5),
    DropColumns(0.5),
    Fill("a", value=7.0),
    Fill("a", "mean"),
    Fill("a", "median"),
    Fill("a", "most frequent"),
    Fill("a", "forward"),
    Replace("a", {-1.0: math.nan, 2.0: 0.5}),
    Cast("a", "VARCHAR"),
    Cast("a", "INTEGER"),
    Deduplicate(["a"]),
    Deduplicate(["a", "b"], "last"),
]


@settings(max_examples=examples(100))
@given(TABLES, st.sampled_from(LIBRARIES), st.sampled_from(LIBRARIES), st.sampled_from(STEPS), st.sampled_from(STEPS))
def test_nan_is_null_in_the_frames_of_all_libraries(
    rows: pa.Table, one: Callable[[pa.Table], Any], other: Callable[[pa.Table], Any], first: Step, then: Step
) -> None:
    steps = {"first": first, "then": then}
    results = [_cleaned(library(rows), steps) for library in (one, other)]
    assert results[0] == results[1]


def _cleaned(frame: Any, steps: dict[str, Step]) -> tuple[dict[str, list[Any]], dict[str, int]] | str:
    try:
        rows, counts = clean(frame, steps)
    except ValueError as error:
        return str(error)  # Such as the mean of texts.
    return rows.to_pydict(), counts


def test_nan_is_null_in_frames_of_spark(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(1.0, math.nan), (None, 2.0), (math.nan, 3.0)], "a double, b double")
    rows, counts = clean(frame, {"fill": Fill("a", "mean"), "drop": DropRows()})
    assert (rows.to_pydict(), counts) == ({"a": [1.0, 1.0], "b": [2.0, 3.0]}, {"fill": 2, "drop": 1})


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.float64(), pa.dictionary(pa.int32(), pa.float64())])
def test_nan_of_any_width_is_filled_as_null_is(kind: pa.DataType) -> None:
    value_type = kind.value_type if pa.types.is_dictionary(kind) else kind
    plain = pa.array(np.array([1, math.nan, 2], value_type.to_pandas_dtype()), value_type)
    column = plain.dictionary_encode() if pa.types.is_dictionary(kind) else plain
    rows, counts = clean(pa.table({"a": column}), {"all": DropRows()})
    assert (rows["a"].to_pylist(), counts) == ([1, 2], {"all": 1})


def test_a_column_that_had_no_nulls_may_have_them_for_nan() -> None:
    rows = pa.table([pa.array([1.0, math.nan])], pa.schema([pa.field("a", pa.float64(), nullable=False)]))
    found, _ = clean(rows, {"nothing": DropRows(1)})
    assert (found["a"].to_pylist(), found.field("a").nullable) == ([1.0, None], True)


def test_nan_that_a_step_makes_is_null() -> None:
    steps: dict[str, Step] = {"cast": Cast("a", "DOUBLE"), "fill": Fill("a", value=0.0)}
    rows, counts = clean(pa.table({"a": ["1", "nan", "x"]}), steps)
    assert (rows["a"].to_pylist(), counts) == ([1, 0, 0], {"cast": 2, "fill": 2})


@pytest.mark.parametrize("missing", [None, math.nan])
def test_null_and_nan_are_filled_and_not_replaced(missing: float | None) -> None:
    with pytest.raises(ValueError, match="Replace replaces values, and null and NaN are none: take Fill"):
        clean(pa.table({"a": [1.0, missing]}), {"it": Replace("a", {missing: 0.0})})
    rows, counts = clean(pa.table({"a": [1.0, missing]}), {"it": Fill("a", value=missing)})
    assert (rows["a"].to_pylist(), counts) == ([1.0, None], {"it": 0})
