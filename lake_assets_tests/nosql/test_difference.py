"""The rows by which a table differs from what it should show: on every store."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from lake_assets.nosql.contract import NoSQLStore, SchemaMismatch
from lake_assets.nosql.difference import Drift, drift, row_difference

SHOULD = pa.table({"k": ["a", "b", "c"], "n": [1, 2, 3], "x": [1.0, float("nan"), None]})


def tables(before: duckdb.DuckDBPyRelation, after: duckdb.DuckDBPyRelation) -> list[pa.Table]:
    return [relation.to_arrow_table() for relation in row_difference(before, after, ["k", "n"])]


def test_the_difference_of_rows_takes_one_state_to_the_other_and_back() -> None:
    after = pa.table({"k": ["d", "c", "b"], "n": [4, 3, 2], "x": [0.0, 9.0, float("nan")]})
    with duckdb.connect() as connection:
        old, new = connection.from_arrow(SHOULD), connection.from_arrow(after)
        items, gone = tables(old, new)
        assert sorted(items["k"].to_pylist()) == ["c", "d"]
        assert gone.to_pylist() == [{"k": "a", "n": 1}]
        items, gone = tables(new, old)
        assert sorted(items["k"].to_pylist()) == ["a", "c"]
        assert gone.to_pylist() == [{"k": "d", "n": 4}]
        assert [table.num_rows for table in tables(old, old)] == [0, 0]


def test_a_zero_of_another_sign_is_a_difference_as_it_is_to_a_table() -> None:
    structs = pa.array([{"z": [0.0]}, {"z": [1.0]}, None])
    before = pa.table({"k": ["a", "b", "c"], "n": [1, 1, 1], "x": [0.0, None, 1.0], "s": structs})
    with duckdb.connect() as connection:
        for name, values in (
            ("x", pa.array([-0.0, None, 1.0])),
            ("s", pa.array([{"z": [-0.0]}, {"z": [1.0]}, None], structs.type)),
        ):
            after = before.set_column(before.schema.get_field_index(name), name, values)
            items, gone = tables(connection.from_arrow(before), connection.from_arrow(after))
            assert (items["k"].to_pylist(), gone.num_rows) == (["a"], 0)


def test_a_table_that_somebody_else_wrote_to_is_found_and_an_overwrite_mends_it(
    store: NoSQLStore, tmp_path: Path
) -> None:
    def differs() -> list[tuple[object, str]] | None:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        found = drift(store, "t", SHOULD.to_batches(), SHOULD.schema, folder)
        assert (found.rows, found.count) == (3, len(found.examples or ()))
        return found.examples

    store.write("t", SHOULD, key=["k", "n"], source_commit="c1")
    assert differs() == []
    store.delete("t", [("a", 1)])
    store.write("t", pa.table({"k": ["c", "z"], "n": [3, 0], "x": [5.0, None]}), key=["k", "n"])
    assert differs() == [(("a", 1), "missing"), (("c", 3), "changed"), (("z", 0), "extra")]
    store.write("t", SHOULD, key=["k", "n"], mode="overwrite", source_commit="c1")
    assert differs() == []
    with pytest.raises(SchemaMismatch, match="'n' is not in the frame"):
        drift(store, "t", [], pa.schema([("k", pa.string())]), tmp_path)


def test_other_columns_are_a_difference_and_an_overwrite_mends_them(store: NoSQLStore, tmp_path: Path) -> None:
    def found() -> Drift:
        return drift(store, "t", SHOULD.to_batches(), SHOULD.schema, tmp_path)

    def repair() -> None:
        store.write("t", SHOULD, key=["k", "n"], mode="overwrite", source_commit="c1")
        assert not found().differs

    repair()
    added = pa.table({"k": ["z"], "n": [0], "x": [0.0], "note": ["mine"]})
    store.write("t", added, key=["k", "n"], allow_overwrite_schema=True)
    assert found().columns == ["column 'note' is stored as string, and should not be there"]
    assert (found().rows, found().missing, found().changed, found().extra) == (3, 0, 3, 1)
    repair()
    store.write("t", SHOULD.drop_columns("x"), key=["k", "n"], mode="overwrite")
    assert (found().columns, found().changed) == (["column 'x' is not stored, and should be double"], 3)
    repair()
    other = SHOULD.set_column(2, "x", pa.array(["1", "2", "3"])).set_column(1, "n", pa.array(["1", "2", "3"]))
    store.write("t", other, key=["k", "n"], mode="overwrite")
    assert found().columns == [
        "column 'n' is stored as string, and should be int64",
        "column 'x' is stored as string, and should be double",
    ]
    assert (found().missing, found().changed, found().extra) == (3, 0, 3)
    repair()
    store.write("t", SHOULD.slice(0, 0).drop_columns("x"), key=["k", "n"], mode="overwrite")
    assert drift(store, "t", [], SHOULD.schema, tmp_path).differs
