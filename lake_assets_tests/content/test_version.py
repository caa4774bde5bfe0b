"""A content version is the same for the same rows, and another for others."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow
import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pyarrow.fs import LocalFileSystem

from lake_assets.content import value_hashes
from lake_assets.content.logical_types import NoLogicalType
from lake_assets.content.version import ContentDigest, version_of_files

TEXTS = st.text("ab\0é𝄞", max_size=9) | st.sampled_from(["a" * 64, "a" * 65, "a" * 64 + "b"])
MICROSECONDS = st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999)
LEAVES: list[tuple[pyarrow.DataType, st.SearchStrategy[Any]]] = [
    (pyarrow.null(), st.none()),
    (pyarrow.bool_(), st.booleans()),
    (pyarrow.int8(), st.integers(-(2**7), 2**7 - 1)),
    (pyarrow.int32(), st.integers(-(2**31), 2**31 - 1)),
    (pyarrow.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pyarrow.uint16(), st.integers(0, 2**16 - 1)),
    (pyarrow.float32(), st.floats(width=32, allow_nan=False)),
    (pyarrow.float64(), st.floats(allow_nan=False)),
    (pyarrow.string(), TEXTS),
    (pyarrow.binary(), st.binary(max_size=9)),
    (pyarrow.date32(), st.integers(-719_162, 2_932_896)),
    (pyarrow.timestamp("us"), MICROSECONDS),
    (pyarrow.timestamp("us", "UTC"), MICROSECONDS),
    (pyarrow.decimal128(38, 9), st.decimals(-(10**28), 10**28, places=9).map(lambda value: value.normalize())),
]


def version(table: pyarrow.Table) -> str:
    """Return the version of a table, batch by batch."""
    digest = ContentDigest(table.schema)
    for batch in table.to_batches():
        digest.update(batch)
    return digest.version()


@st.composite
def types_and_values(draw: st.DrawFn, depth: int = 2) -> tuple[pyarrow.DataType, st.SearchStrategy[Any]]:
    """Draw a type, and a strategy for its values, null among them."""
    if depth and draw(st.integers(0, 2)) == 0:
        kind, values = draw(types_and_values(depth - 1))
        shape = draw(st.sampled_from(["list", "map", "struct"]))
        if shape == "list":
            return pyarrow.list_(kind), st.none() | st.lists(values, max_size=3)
        if shape == "map":
            keys = st.dictionaries(st.text("ab", max_size=2), values, max_size=3)
            return pyarrow.map_(pyarrow.string(), kind), st.none() | keys.map(lambda entries: list(entries.items()))
        other, others = draw(types_and_values(depth - 1))
        fields = st.fixed_dictionaries({"x": values, "y": others})
        return pyarrow.struct([("x", kind), ("y", other)]), st.none() | fields
    kind, values = draw(st.sampled_from(LEAVES))
    return kind, st.none() | values


class Drawn(NamedTuple):
    """A table, and for each column what else could stand in it."""

    table: pyarrow.Table
    others: list[st.SearchStrategy[Any]]


@st.composite
def drawn_tables(draw: st.DrawFn) -> Drawn:
    """Draw a table of any schema and rows; some of its columns are of one type."""
    pool = draw(st.lists(types_and_values(), min_size=1, max_size=2))
    names = draw(st.lists(st.text("abc_\0.`", max_size=3), min_size=1, max_size=4, unique=True))
    number = draw(st.integers(1, 8))
    columns: list[pyarrow.Array] = []
    others: list[st.SearchStrategy[Any]] = []
    for _ in names:
        kind, values = draw(st.sampled_from(pool))
        columns.append(pyarrow.array(draw(st.lists(values, min_size=number, max_size=number)), kind))
        others.append(values)
    return Drawn(pyarrow.table(columns, names), others)


def tables() -> st.SearchStrategy[pyarrow.Table]:
    """Return a strategy for tables of any schema and rows."""
    return drawn_tables().map(lambda drawn: drawn.table)


@given(tables(), st.randoms(use_true_random=False), st.integers(1, 3))
def test_the_order_of_rows_and_columns_batches_and_slices_do_not_matter(
    table: pyarrow.Table, chance: random.Random, size: int
) -> None:
    order = chance.sample(range(table.num_rows), table.num_rows)
    names = chance.sample(table.column_names, table.num_columns)
    # Rows before and behind make every batch a slice.
    padded = pyarrow.concat_tables([table, table.take(order), table]).combine_chunks()
    shuffled = padded.slice(table.num_rows, table.num_rows).select(names)
    digest = ContentDigest(shuffled.schema)
    for batch in shuffled.to_batches(max_chunksize=size):
        digest.update(batch)
    assert digest.rows == table.num_rows
    assert digest.version() == version(table)


@given(tables(), st.randoms(use_true_random=False), st.integers(0, 8))
def test_neither_do_files(tmp_path: Path, table: pyarrow.Table, chance: random.Random, cut: int) -> None:
    shuffled = table.take(chance.sample(range(table.num_rows), table.num_rows))
    paths = [str(tmp_path / f"{number}.parquet") for number in range(2)]
    pq.write_table(shuffled.slice(0, cut), paths[0], row_group_size=3)
    pq.write_table(shuffled.slice(cut).select(table.column_names[::-1]), paths[1])
    assert version_of_files(paths, LocalFileSystem()) == (table.num_rows, version(table))


@pytest.mark.parametrize("value", [None, {"of.it": None}, {"of.it": "x"}])
def test_texts_within_structs_are_read_across_row_groups(tmp_path: Path, value: object) -> None:
    kind = pyarrow.struct([pyarrow.field("of.it", pyarrow.string())])
    table = pyarrow.table({"a.struct": pyarrow.array([value] * 7, kind), "a.text": ["y"] * 7})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=3)
    assert version_of_files([str(tmp_path / "x.parquet")], LocalFileSystem()) == (7, version(table))


def rows_of(table: pyarrow.Table) -> Counter[str]:
    """Return what rows a table has, each as a text that tells values apart."""
    return Counter(str([(name, _told(value)) for name, value in sorted(row.items())]) for row in table.to_pylist())


def _told(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _told(held) for name, held in sorted(value.items())}
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return sorted((key, str(_told(held))) for key, held in value)
    return [_told(held) for held in value] if isinstance(value, list) else value


@st.composite
def corrections(draw: st.DrawFn) -> tuple[pyarrow.Table, pyarrow.Table]:
    """Draw a table, and one with the same columns that differs by a small change, or not at all."""
    table, others = draw(drawn_tables())
    columns = [column.to_pylist() for column in table.columns]
    place = st.integers(0, table.num_rows - 1)
    this, that = draw(place), draw(place)
    at = draw(st.integers(0, len(columns) - 1))
    twins = [index for index, kind in enumerate(table.schema.types) if kind.equals(table.schema.types[at])]
    twin = draw(st.sampled_from(twins))
    match draw(st.sampled_from(["cell", "null", "move", "swap rows", "swap columns", "again"])):
        case "cell":
            columns[at][this] = draw(others[at])
        case "null":
            columns[at][this] = None
        case "move" if twin != at:
            columns[twin][this], columns[at][this] = columns[at][this], None
        case "swap rows":
            columns[at][this], columns[at][that] = columns[at][that], columns[at][this]
        case "swap columns":
            columns[at][this], columns[twin][this] = columns[twin][this], columns[at][this]
        case _:
            for column in columns:
                column[this] = column[that]
    arrays = [pyarrow.array(column, kind) for column, kind in zip(columns, table.schema.types, strict=True)]
    return table, pyarrow.table(arrays, table.column_names)


@settings(max_examples=400, database=None, phases=[Phase.explicit, Phase.generate])
@given(corrections())
def versions_are_equal_exactly_when_rows_are(pair: tuple[pyarrow.Table, pyarrow.Table]) -> None:
    before, after = pair
    assert (version(before) == version(after)) == (rows_of(before) == rows_of(after))


def test_any_small_change_of_any_value_of_any_type_is_another_version() -> None:
    versions_are_equal_exactly_when_rows_are()


MUTANTS: dict[str, tuple[str, Any]] = {
    "null is zero and an empty text": ("_NULL", (np.uint64(0), np.uint64(0))),
    "columns are not told apart": ("_salt", lambda *names: np.uint64(3)),
    "a row does not bind its values": ("_mix", lambda words: words),
    "values are their first bytes": ("_words", lambda array: np.zeros(len(array), np.uint64)),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_digest_that_does_not_see_all_is_found_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(value_hashes, *MUTANTS[name])
    with pytest.raises(AssertionError):
        versions_are_equal_exactly_when_rows_are()


@pytest.mark.parametrize("distinct", [1, 700, 40_000])
def test_how_often_texts_repeat_and_how_many_rows_a_file_has_do_not_matter(tmp_path: Path, distinct: int) -> None:
    numbers = [None if number % 11 == 0 else number % distinct for number in range(50_000)]
    texts = pyarrow.array([None if number is None else "x" * (number % 80) + str(number) for number in numbers])
    table = pyarrow.table({"text": texts, "number": pyarrow.array(numbers, pyarrow.int32())})
    encoded = table.set_column(0, "text", table["text"].dictionary_encode())
    one_by_one = pyarrow.Table.from_batches(table.to_batches(max_chunksize=100))
    pq.write_table(table, tmp_path / "all", row_group_size=20_000)
    content = version_of_files([str(tmp_path / "all")], LocalFileSystem())
    assert {version(table), version(encoded), version(one_by_one)} == {content.version}


ZONED = pyarrow.timestamp("us", "UTC")
VARIANTS: dict[str, list[pyarrow.Array]] = {
    "text": [
        pyarrow.array(["a", None, "", "a" * 70], kind)
        for kind in (
            pyarrow.string(),
            pyarrow.large_string(),
            pyarrow.string_view(),
            pyarrow.dictionary(pyarrow.int8(), pyarrow.string()),
        )
    ],
    "binary": [
        pyarrow.array([b"abc", None, b"\0\0\0"], kind)
        for kind in (pyarrow.binary(), pyarrow.large_binary(), pyarrow.binary_view(), pyarrow.binary(3))
    ],
    "list": [
        pyarrow.array([[1, 2], None, [None, 3]], kind)
        for kind in (
            pyarrow.list_(pyarrow.int32()),
            pyarrow.large_list(pyarrow.int32()),
            pyarrow.list_(pyarrow.int32(), 2),
            pyarrow.list_view(pyarrow.int32()),
        )
    ],
    "instant": [
        pyarrow.array([0, None, 10**15], ZONED).cast(kind)
        for kind in (ZONED, pyarrow.timestamp("ns", "Europe/Berlin"), pyarrow.timestamp("s", "+01:00"))
    ],
    "timestamp": [
        pyarrow.array([0, None, 10**15], pyarrow.timestamp("us")).cast(pyarrow.timestamp(unit))
        for unit in ("s", "ms", "us", "ns")
    ],
    "date": [
        pyarrow.array([0, None, -1], pyarrow.date32()).cast(kind) for kind in (pyarrow.date32(), pyarrow.date64())
    ],
    "unsigned": [pyarrow.array([0, None, 255], kind) for kind in (pyarrow.uint8(), pyarrow.int16())],
    "half": [pyarrow.array(np.array([0.0, -1.5, np.nan], kind)) for kind in ("float16", "float32")],
    "not a number": [
        pyarrow.array(np.array([word], np.uint64).view(np.float64))
        for word in (0x7FF8 << 48, 0xFFF8 << 48, 0x7FF1 << 48)
    ],
    "a map's entries": [
        pyarrow.array([entries, None], pyarrow.map_(pyarrow.string(), pyarrow.int8()))
        for entries in ([("a", 1), ("b", None)], [("b", None), ("a", 1)])
    ],
    "a struct's fields": [
        pyarrow.array([{"x": 1, "y": None}, None], pyarrow.struct(fields))
        for fields in (
            [("x", pyarrow.int8()), ("y", pyarrow.string())],
            [("y", pyarrow.string()), ("x", pyarrow.int8())],
        )
    ],
}


@pytest.mark.parametrize("name", VARIANTS)
def test_one_logical_value_has_one_version_in_all_of_arrows_types(name: str) -> None:
    assert len({version(pyarrow.table({"c": variant})) for variant in VARIANTS[name]}) == 1


def _array(values: list[Any], kind: pyarrow.DataType) -> pyarrow.Array:
    return pyarrow.array(values, kind)


DIFFERENT: dict[str, list[pyarrow.Array]] = {
    "zeros": [_array([value], pyarrow.float64()) for value in (0.0, -0.0, None, float("nan"), 5e-324)],
    "widths": [_array([1], kind) for kind in (pyarrow.int8(), pyarrow.int16(), pyarrow.int32(), pyarrow.int64())],
    "signs": [_array([-1], pyarrow.int64()), _array([2**64 - 1], pyarrow.uint64())],
    "texts and bytes": [_array(["a"], pyarrow.string()), _array([b"a"], pyarrow.binary())],
    "zones": [_array([0], kind) for kind in (pyarrow.timestamp("us"), ZONED)],
    "nanoseconds": [_array([value], pyarrow.timestamp("ns")) for value in (-1, 0, 1, 999, 1000)],
    "scales": [_array([1], pyarrow.decimal128(9, scale)) for scale in (0, 1)],
    "nesting": [
        _array([value], pyarrow.list_(pyarrow.list_(pyarrow.string())))
        for value in (
            None,
            [],
            [None],
            [[]],
            [[None]],
            [[""]],
            [[], []],
            [["a", "b"]],
            [["b", "a"]],
            [["a"], ["b"]],
            [["ab"]],
        )
    ],
    "structs": [
        _array([value], pyarrow.struct([("x", pyarrow.int8()), ("y", pyarrow.int8())]))
        for value in (None, {"x": None, "y": None}, {"x": 1, "y": None}, {"x": None, "y": 1})
    ],
    "numbers of nulls": [pyarrow.nulls(number) for number in (0, 1, 2, 3)],
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_values_and_types_that_differ_have_versions_that_differ(name: str) -> None:
    assert len({version(pyarrow.table({"c": array})) for array in DIFFERENT[name]}) == len(DIFFERENT[name])


def test_an_algorithm_of_a_name_stays_as_it_is() -> None:
    # Another version for these rows is another algorithm, which takes another name.
    rows = pyarrow.table(
        {"a": ["x", None, ""], "b": [1.5, -0.0, None], "c": [[1], [], None], "d": [b"y" * 70, None, b""]}
    )
    assert version(rows) == "rows1:caf544ed3fae66edb84afbc9e8b46716"


def test_names_are_part_of_the_version() -> None:
    values = _array([1], pyarrow.int8())
    pairs = [("a", "bc"), ("ab", "c"), ("a", "c"), ("c,", "a")]
    assert len({version(pyarrow.table([values, values], list(names))) for names in pairs}) == len(pairs)


def test_a_column_without_a_type_of_the_lakes_or_of_anothers_name_is_named() -> None:
    union = pyarrow.UnionArray.from_sparse(_array([0], pyarrow.int8()), [_array([1], pyarrow.int8())])
    with pytest.raises(NoLogicalType, match="column 'odd': the lake has no type for Arrow's sparse_union"):
        ContentDigest(pyarrow.table({"odd": union}).schema)
    with pytest.raises(ValueError, match="several columns are named 'a'"):
        ContentDigest(pyarrow.schema([("a", pyarrow.int8()), ("a", pyarrow.int8())]))


def test_what_spark_wrote_as_int96_is_an_instant_of_any_year_however_deep(tmp_path: Path) -> None:
    moments = [datetime(year, 12, 31, 23, 59, 59, 999_999, timezone.utc) for year in (1, 1969, 9999)]
    table = pyarrow.table(
        {
            "at": _array(moments, ZONED),
            "name": ["a", None, "c"],
            "all": _array([[{"at": at}] for at in moments], pyarrow.list_(pyarrow.struct([("at", ZONED)]))),
        }
    )
    for place, int96 in (("new", False), ("old", True)):
        pq.write_table(
            table, tmp_path / place, use_deprecated_int96_timestamps=int96, coerce_timestamps=None, store_schema=False
        )
    assert pq.ParquetFile(tmp_path / "old").schema.column(0).physical_type == "INT96"
    versions = {version_of_files([str(tmp_path / place)], LocalFileSystem()) for place in ("new", "old")}
    assert versions == {(3, version(table))}
