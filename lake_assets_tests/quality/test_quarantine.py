"""What entered and left quarantine, against counts of rows by name in Python."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.quality.constraints import Complete, Range, Refers
from lake_assets.quality.quarantine import quarantine_changes
from lake_assets.quality.verifying import REASONS
from lake_assets_tests.depth import examples

NAMES = ["x", "y", "Z"]
CELL = st.none() | st.integers(-2, 2)


@st.composite
def states(draw: st.DrawFn) -> pa.Table:
    names = draw(st.permutations(NAMES).flatmap(lambda names: st.integers(1, 3).map(lambda number: names[:number])))
    rows = draw(st.lists(st.tuples(*(CELL for _ in names)), max_size=6))
    schema = pa.schema([(name, pa.int64()) for name in names])
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], schema)


def rejected(table: pa.Table) -> Counter[tuple[Any, ...]]:
    found: Counter[tuple[Any, ...]] = Counter()
    for row in table.to_pylist():
        reasons = [f"range_{name}" for name in NAMES if (row.get(name) or 0) < 0]
        if reasons:
            found[(*(row.get(name) for name in NAMES), *reasons)] += 1
    return found


def counted(table: pa.Table) -> Counter[tuple[Any, ...]]:
    return Counter((*(row.get(name) for name in NAMES), *row[REASONS]) for row in table.to_pylist())


@settings(max_examples=examples(60))
@given(states(), states())
def test_columns_are_compared_by_name_whatever_their_order_and_those_that_came_or_went(
    before: pa.Table, after: pa.Table
) -> None:
    there = {*before.column_names, *after.column_names}
    entered, left = quarantine_changes(before, after, [Range(column=name, min=0) for name in NAMES if name in there])
    was, now = rejected(before), rejected(after)
    assert counted(entered) == now - was
    assert counted(left) == was - now


def test_each_state_refers_to_its_own_rows() -> None:
    rows = pa.table({"isin": ["a", "b"]})
    refers = Refers(column="isin", rows="stocks", to="isin")
    entered, left = quarantine_changes(
        rows,
        rows,
        [refers],
        references={"stocks": pa.table({"isin": ["b"]})},
        references_before={"stocks": pa.table({"isin": ["a"]})},
    )
    assert (entered["isin"].to_pylist(), left["isin"].to_pylist()) == (["a"], ["b"])


def test_a_column_that_is_in_neither_state_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no column 'nix'"):
        quarantine_changes(pa.table({"x": [1]}), pa.table({"x": [1]}), [Complete(column="nix")])


def test_types_that_duckdb_lacks_are_compared() -> None:
    halves = pa.table({"x": pa.array([-0.5], pa.float16())})
    entered, left = quarantine_changes(halves.slice(1), halves, [Range(column="x", min=0)])
    assert (entered.num_rows, left.num_rows) == (1, 0)
