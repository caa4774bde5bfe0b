"""Keys sort as their values do, rows come back as they went in: for any values."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_assets.nosql.keys import decode_columns, encode_columns, encode_key
from lake_assets.nosql.rows import decode_rows, encode_rows, ranking
from lake_assets.nosql.runs import merge, write_run

TEXT = st.text(min_size=1, max_size=20) | st.text(alphabet="\x00\x01a\xff\U0010ffff", min_size=1, max_size=6)
INTEGER = st.integers(-(2**63), 2**63 - 1)
KINDS = {"s": (TEXT, pa.string()), "i": (INTEGER, pa.int64())}


@st.composite
def tables_of_keys(draw: st.DrawFn) -> tuple[list[tuple[Any, ...]], pa.Schema]:
    kinds = draw(st.lists(st.sampled_from("si"), min_size=1, max_size=3))
    keys = draw(st.lists(st.tuples(*(KINDS[kind][0] for kind in kinds)), min_size=1, max_size=30))
    return keys, pa.schema([(f"c{at}", KINDS[kind][1]) for at, kind in enumerate(kinds)])


@given(tables_of_keys())
def test_encoded_keys_sort_as_their_values_and_come_back(made: tuple[list[tuple[Any, ...]], pa.Schema]) -> None:
    keys, schema = made
    columns = [pa.array(column, kind) for column, kind in zip(zip(*keys, strict=True), schema.types, strict=True)]
    encoded = encode_columns(columns, schema.names).to_pylist()
    assert encoded == [encode_key(key, schema, schema.names) for key in keys]
    order = sorted(range(len(keys)), key=lambda at: encoded[at])
    assert [keys[at] for at in order] == sorted(keys)
    assert decode_columns(encoded, schema.types) == columns


@given(tables_of_keys())
def test_the_first_components_alone_sort_before_every_key_that_has_them(
    made: tuple[list[tuple[Any, ...]], pa.Schema],
) -> None:
    keys, schema = made
    for key in keys:
        whole = encode_key(key, schema, schema.names)
        for length in range(1, len(key)):
            first = encode_key(key[:length], schema, schema.names, prefix=True)
            assert whole.startswith(first)
            assert all(encode_key(other, schema, schema.names) < first for other in keys if other < key[:length])


def columns_of(kind: pa.DataType, values: st.SearchStrategy[Any]) -> st.SearchStrategy[pa.Array]:
    return st.lists(st.none() | values, max_size=20).map(lambda column: pa.array(column, kind))


LISTS = pa.list_(pa.list_(pa.int64()))
MONEY = pa.decimal128(38, 9)
STRUCT = pa.struct([("d", pa.date32()), ("l", pa.list_(pa.string()))])
STRUCTS = st.fixed_dictionaries(
    {"d": st.none() | st.dates(), "l": st.none() | st.lists(st.none() | st.text(), max_size=3)}
)
COLUMNS = st.one_of(
    columns_of(pa.bool_(), st.booleans()),
    columns_of(pa.int8(), st.integers(-128, 127)),
    columns_of(pa.int64(), INTEGER),
    columns_of(pa.float32(), st.floats(width=32, allow_nan=False)),
    columns_of(pa.float64(), st.floats(allow_nan=False)),
    columns_of(pa.string(), st.text()),
    columns_of(pa.binary(), st.binary()),
    columns_of(pa.date32(), st.dates()),
    columns_of(pa.timestamp("us"), st.datetimes()),
    columns_of(pa.timestamp("us", "UTC"), st.datetimes()),
    columns_of(MONEY, st.decimals(-(10**20), 10**20, places=9)),
    columns_of(
        pa.list_(pa.list_(pa.int64())), st.lists(st.none() | st.lists(st.none() | INTEGER, max_size=3), max_size=3)
    ),
    columns_of(STRUCT, STRUCTS),
)


@given(COLUMNS, st.integers(0, 5))
def test_a_column_of_any_values_comes_back_also_from_a_slice(column: pa.Array, skip: int) -> None:
    column = column.slice(min(skip, len(column)))
    rows = encode_rows({"a": column, "b": column}, len(column))
    for back in decode_rows(rows, [column.type, column.type]):
        back.validate(full=True)
        assert back.to_pylist() == column.to_pylist()


@given(st.lists(st.tuples(st.none() | st.floats(), st.text(max_size=3)), min_size=1))
def test_rows_rank_by_the_named_column_with_null_first_and_nan_last(values: list[tuple[float | None, str]]) -> None:
    types = [pa.string(), pa.float64()]
    rows = encode_rows(
        {"t": pa.array([t for _, t in values]), "f": pa.array([f for f, _ in values], pa.float64())}, len(values)
    )
    ranked = sorted(rows, key=ranking(types, [1]))
    floats = decode_rows(ranked, types)[1].to_pylist()
    numbers = [value for value in floats if value is not None and value == value]
    nulls = [value for value in floats if value is None]
    assert floats[: len(nulls)] == nulls
    assert floats[len(nulls) : len(nulls) + len(numbers)] == sorted(numbers)


@pytest.mark.parametrize("count", [1, 3, 150])
def test_any_number_of_runs_merges_into_one_order(tmp_path: Any, count: int) -> None:
    items = [(f"{(at * 7919) % 9973:05d}".encode(), str(at).encode()) for at in range(9000)]
    runs = [
        write_run(tmp_path, pa.array([key for key, _ in part]), pa.array([row for _, row in part]))
        for part in (items[at::count] for at in range(count))
    ]
    assert [item for block in merge(tmp_path, runs) for item in block] == sorted(items)
