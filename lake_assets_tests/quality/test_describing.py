"""`describe()` against pandas, on columns of times beside numbers and texts."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_assets.quality import profile

MOMENTS = [dt.datetime(2024, 1, 1, 3, 4, 5, 6), dt.datetime(2024, 1, 2), None, dt.datetime(1969, 7, 20, 20, 17)]
TABLE = pa.table(
    {
        "n": [1, 2, 3, 9],
        "moment": pa.array(MOMENTS, pa.timestamp("us")),
        "zoned": pa.array(MOMENTS, pa.timestamp("us", "UTC")),
        "day": [dt.date(2024, 1, 1), dt.date(2024, 1, 4), None, dt.date(1960, 1, 1)],
        "took": [dt.timedelta(1), dt.timedelta(2, 7), None, dt.timedelta(-1)],
        "empty": pa.array([None] * 4, pa.timestamp("us")),
        "clock": [dt.time(1), dt.time(2), dt.time(2), None],
        "text": ["a", "b", "b", None],
    }
)


def expected(table: pa.Table) -> pd.DataFrame:
    rows: Any = table.to_pandas(types_mapper=pd.ArrowDtype)
    return rows.describe()


@pytest.mark.parametrize(
    "names",
    [
        *(["moment"], ["day"], ["took"], ["zoned", "text"], ["moment", "day", "clock"], ["took", "n"]),
        *(["text", "n", "moment", "zoned", "day"], ["took", "moment"], ["clock", "text"], ["empty"]),
    ],
)
def test_times_are_described_as_by_pandas(names: list[str]) -> None:
    found, told = profile(TABLE.select(names)).describe(), expected(TABLE.select(names))
    assert list(found.index) == list(told.index)
    assert list(found.columns) == list(told.columns)
    for name in found.columns:
        for figure in found.index:
            mine, theirs = found.loc[figure, name], told.loc[figure, name]
            assert (pd.isna(mine) and pd.isna(theirs)) or mine == theirs, (name, figure)


def test_times_are_printed_as_by_pandas() -> None:
    names = ["n", "moment", "took", "text", "empty"]
    assert str(profile(TABLE.select(names)).describe()) == str(TABLE.select(names).to_pandas().describe())


@given(
    st.lists(st.integers(-(10**5), 10**5), min_size=1, max_size=30),
    st.sampled_from([pa.timestamp("s"), pa.timestamp("us", "UTC"), pa.date32(), pa.duration("us")]),
)
def test_parts_of_a_unit_are_cut_off_as_by_pandas(values: list[int], kind: pa.DataType) -> None:
    stored = pa.int32() if kind == pa.date32() else pa.int64()
    table = pa.table({"x": pa.array(values, stored).cast(kind)})
    found, told = profile(table).describe()["x"], expected(table)["x"]
    figures = ["mean", "min", "25%", "50%", "75%", "max"]
    assert found[figures].tolist() == told[figures].tolist()


def test_nothing_of_a_personal_column_is_described() -> None:
    found = profile(TABLE, personal=["moment"]).describe()
    assert "moment" not in found.columns
