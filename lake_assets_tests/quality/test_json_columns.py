"""JSON lines: a file that was read once is read the same again, and what is new is told, never lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyarrow.fs import LocalFileSystem

from lake_assets.frames.parquet_writing import ParquetTarget
from lake_assets.frames.registry import library_of_value
from lake_assets.quality.files import file_batches
from lake_assets.quality.json_columns import json_texts
from lake_assets.quality.typed import TypedRows, read_typed
from lake_assets_tests.depth import examples

LOCAL = LocalFileSystem()
NAMES = st.sampled_from(["a", "b", "c", "", "a.b", "ä"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
RECORDS = st.lists(st.dictionaries(NAMES, VALUES, min_size=1, max_size=3), min_size=1, max_size=5)


def read(folder: Path, records: list[Any], schema: pa.Schema | None = None) -> TypedRows:
    path = folder / "a.jsonl"
    path.write_text("".join(f"{json.dumps(one)}\n" for one in records))
    return read_typed(LOCAL, [str(path)], schema)


def stored(folder: Path, rows: pa.Table) -> pa.Schema:
    """Return the columns of rows as a later run finds them in the lake."""
    library = library_of_value(rows)
    assert library is not None
    library.write_parquet(rows, ParquetTarget(LOCAL, str(folder), None))
    return file_batches(LOCAL, [str(folder / "part-00000.parquet")])[0]


def reason(folder: Path, record: Any, schema: pa.Schema) -> str:
    (found,) = read(folder, [record], schema).rejected["reason"].to_pylist()
    return found


@settings(max_examples=examples(200))
@example([{"a": 1}, {"a": "x"}])
@example([{"a": None}])
@example([{"a": {}}])
@example([{"a": {"b": {}}}])
@example([{"a": 1.5}, {"a": True}])
@example(
    [{"a": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}]
)
@given(RECORDS)
def test_a_file_is_read_the_same_again(tmp_path_factory: pytest.TempPathFactory, records: list[Any]) -> None:
    folder = tmp_path_factory.mktemp("twice")
    first = read(folder, records)
    assert len(first.rows) == len(records)
    schema = stored(folder, first.rows)
    for _ in range(2):
        again = read(folder, records, schema)
        assert again.rejected.num_rows == 0
        assert again.rows.equals(first.rows)
        schema = stored(folder, again.rows)


@settings(max_examples=examples(200))
@given(RECORDS, RECORDS)
def test_a_later_record_is_kept_whole_or_rejected(
    tmp_path_factory: pytest.TempPathFactory, records: list[Any], later: list[Any]
) -> None:
    folder = tmp_path_factory.mktemp("later")
    schema = stored(folder, read(folder, records).rows)
    found = read(folder, later, schema)
    assert len(found.rows) + len(found.rejected) == len(later)
    rejected = {line - 1 for line in found.rejected["line"].to_pylist()}
    kept = [one for at, one in enumerate(later) if at not in rejected]
    for record, row in zip(kept, found.rows.to_pylist(), strict=True):
        for name, value in record.items():
            is_text = name in json_texts(schema) and row[name] is not None
            assert same(value, json.loads(row[name]) if is_text else row[name])


def same(value: Any, stored: Any) -> bool:
    """Tell whether a row has all of a value. Names that the value lacks are null in a row."""
    if isinstance(value, dict) and isinstance(stored, dict):
        return value.keys() <= stored.keys() and all(same(value.get(name), stored[name]) for name in stored)
    if isinstance(value, list) and isinstance(stored, list):
        return len(value) == len(stored) and all(map(same, value, stored))
    return value == stored and isinstance(value, bool) == isinstance(stored, bool)


def test_a_column_of_json_text_takes_any_later_value(tmp_path: Path) -> None:
    first = [{"mixed": 1, "null": None, "list": [], "object": {"null": None}}, {"mixed": "x"}]
    schema = stored(tmp_path, read(tmp_path, first).rows)
    later = [{"mixed": [1, {"new": 2}], "null": {"new": 1}, "list": [1], "object": {"null": 1}}, {"mixed": "x"}]
    found = read(tmp_path, later, schema)
    assert found.rows.to_pylist() == [
        {"mixed": '[1, {"new": 2}]', "null": '{"new": 1}', "list": "[1]", "object": '{"null": 1}'},
        {"mixed": '"x"', "null": None, "list": None, "object": None},
    ]
    assert found.rejected.num_rows == 0


def test_new_names_in_objects_are_told_with_their_path(tmp_path: Path) -> None:
    schema = stored(
        tmp_path, read(tmp_path, [{"user": {"name": "x"}, "items": [{"price": 1}], "open": {}, "day": "x"}]).rows
    )
    for record, told in [
        ({"day": "x", "extra": 1}, "extra: no such column"),
        ({"user": {"name": "x", "zip": None}}, "user.zip: no such column"),
        ({"items": [{"price": 1}, {"size": 1}, {"size": 2}]}, "items[].size: no such column"),
        ({"user": {"name": 1}, "items": 1}, "user.name is no string; items is no list"),
    ]:
        assert reason(tmp_path, record, schema) == told
    assert read(tmp_path, [{"open": {"any": {"thing": 1}}}], schema).rejected.num_rows == 0


@pytest.mark.parametrize(
    ("value", "later"), [(1, 1.5), (1, True), (0.5, True), (0.5, (1 << 53) + 1), ({"b": 1}, []), (1, "1"), (True, 1)]
)
def test_a_value_is_neither_cut_nor_turned_into_another(tmp_path: Path, value: Any, later: Any) -> None:
    schema = stored(tmp_path, read(tmp_path, [{"a": value}]).rows)
    assert reason(tmp_path, {"a": later}, schema).startswith("a is no ")


def test_lines_that_no_column_can_hold_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    deep = "[" * 400 + "]" * 400
    path.write_text('{"a": 1}\n{"\\ud800": 1}\n{"a": {"\\ud800": 1}}\n' + f'{{"a": {deep}}}\n')
    found = read_typed(LOCAL, [str(path)])
    assert found.rows.to_pylist() == [{"a": 1}]
    assert found.rejected["reason"].to_pylist() == [
        "the line has values that JSON has not",
        "the line has values that JSON has not",
        "the line is nested too deep",
    ]
