"""A preview shows every value that Arrow has, also those that Python has not."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_assets.frames.preview import as_texts

NUMBERS = st.integers(-(1 << 63), (1 << 63) - 1)
SMALL = st.integers(-(1 << 31), (1 << 31) - 1)
TYPES = [pa.timestamp("us", "UTC"), pa.timestamp("s"), pa.timestamp("ns"), pa.duration("ms"), pa.date64()]


@pytest.mark.property
@pytest.mark.parametrize("kind", TYPES, ids=str)
@given(numbers=st.lists(st.none() | NUMBERS, max_size=4))
def test_every_number_of_every_type_of_time_is_shown(kind: pa.DataType, numbers: list[int | None]) -> None:
    data = pa.array(numbers, pa.int64())
    flat = data.view(kind)
    nested = pa.StructArray.from_arrays([flat], ["inside"])
    _, rows = as_texts(pa.table({"flat": flat, "nested": nested}), [])
    assert [row["flat"] is None for row in rows] == [number is None for number in numbers]
    assert all(row["flat"] != "" and row["nested"] for row in rows)


@pytest.mark.property
@given(numbers=st.lists(SMALL, max_size=4))
def test_every_day_is_shown(numbers: list[int]) -> None:
    _, rows = as_texts(pa.table({"day": pa.array(numbers, pa.int32()).view(pa.date32())}), [])
    assert all(row["day"] for row in rows)


def test_a_time_after_the_last_year_of_python_is_shown_as_it_is() -> None:
    column = pa.array([253_402_300_800, 0, None], pa.int64()).cast(pa.timestamp("s", "UTC"))
    _, rows = as_texts(pa.table({"at": column}), [])
    assert [row["at"] for row in rows] == ["10000-01-01 00:00:00Z", "1970-01-01 00:00:00+00:00", None]
