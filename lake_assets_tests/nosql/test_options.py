"""What a write does with stored items, beside replacing them: on every store."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from lake_assets.nosql import contract
from lake_assets.nosql.contract import NoSQLError, NoSQLStore, Operation, Options, SchemaMismatch, WriteResult


def frame(**columns: list[Any]) -> pd.DataFrame:
    return pd.DataFrame(columns)


def rows(store: NoSQLStore, table: str = "t", **bounds: Any) -> list[dict[str, Any]]:
    return [row for batch in store.scan(table, **bounds) for row in batch.to_pylist()]


def test_create_only_writes_new_items_and_keeps_the_others(store: NoSQLStore) -> None:
    store.write("t", frame(k=["a"], x=[1]), key=["k"], mode="create_only")
    result = store.write("t", frame(k=["a", "b"], x=[2, 2]), key=["k"], mode="create_only")
    assert result == WriteResult(put=1, deleted=0, kept=1, row_count=2)
    assert [row["x"] for row in rows(store)] == [1, 2]


def test_an_update_of_columns_leaves_the_others_and_needs_only_the_key(store: NoSQLStore) -> None:
    columns = Options(update="columns")
    store.write("t", frame(k=["a", "b"], n=[1, 2], x=[1.0, 2.0], y=["p", "q"]), key=["k", "n"])
    result = store.write("t", frame(y=["r", "s"], n=[1, 3], k=["a", "c"]), key=["k", "n"], options=columns)
    assert result == WriteResult(put=2, deleted=0, kept=0, row_count=3)
    assert rows(store) == [
        {"k": "a", "n": 1, "x": 1.0, "y": "r"},
        {"k": "b", "n": 2, "x": 2.0, "y": "q"},
        {"k": "c", "n": 3, "x": None, "y": "s"},
    ]
    store.write("t", frame(k=["a"], n=[1], y=[None]).astype({"y": "string"}), key=["k", "n"], options=columns)
    assert store.get("t", ("a", 1)) == {"k": "a", "n": 1, "x": 1.0, "y": None}
    with pytest.raises(SchemaMismatch, match="'n'"):
        store.write("t", frame(k=["a"], y=["z"]), key=["k", "n"], options=columns)


def test_an_update_of_columns_may_be_by_the_newest(store: NoSQLStore) -> None:
    columns = Options(update="columns")
    store.write("t", frame(k=["a", "b", "c"], x=[100, 100, 100], at=[5, 5, 5]), key=["k"])
    came = frame(k=["a", "a", "b", "d"], at=[7, 9, 3, 1])
    result = store.write("t", came, newest_by=["at"], options=columns)
    assert result == WriteResult(put=2, deleted=0, kept=1, row_count=4)
    assert [tuple(row.values()) for row in rows(store)] == [("a", 100, 9), ("b", 100, 5), ("c", 100, 5), ("d", None, 1)]
    with pytest.raises(SchemaMismatch, match="newest_by names 'x', which the frame lacks"):
        store.write("t", came, newest_by=["x"], options=columns)


def test_a_condition_compares_the_new_item_with_the_stored_one_and_counts_what_it_kept(store: NoSQLStore) -> None:
    later = Options(condition="new.at > old.at")
    store.write("t", frame(k=["a", "b", "c"], at=[5.0, 5.0, None], x=[1, 1, 1]), key=["k"], options=later)
    came = frame(k=["a", "b", "c", "d"], at=[6.0, 5.0, 6.0, 0.0], x=[2, 2, 2, 2])
    result = store.write("t", came, key=["k"], options=later)
    # A comparison with null is not true. An item that is not stored is written.
    assert result == WriteResult(put=2, deleted=0, kept=2, row_count=4)
    assert [row["x"] for row in rows(store)] == [2, 1, 1, 2]
    partial = Options(update="columns", condition="old.x = 1 AND new.at IS NOT NULL")
    store.write("t", frame(k=["a", "b"], at=[7.0, 7.0]), key=["k"], options=partial)
    assert [(row["at"], row["x"]) for row in rows(store)][:2] == [(6.0, 2), (7.0, 1)]


@pytest.mark.parametrize("condition", ["new.nothing > old.at", "old.at > ", "new.at + 1", "nothing", "'x' || 1; DROP"])
def test_a_condition_that_is_none_is_refused_and_nothing_is_written(store: NoSQLStore, condition: str) -> None:
    store.write("t", frame(k=["a"], at=[1]), key=["k"])
    with pytest.raises(NoSQLError, match="'t'"):
        store.write("t", frame(k=["a", "b"], at=[2, 2]), key=["k"], options=Options(condition=condition))
    assert rows(store) == [{"k": "a", "at": 1}]


def test_a_counter_adds_and_a_batch_that_is_written_again_does_not(store: NoSQLStore) -> None:
    money = pa.table(
        {
            "k": ["a", "b"],
            "n": [1, 2],
            "price": pa.array([Decimal("0.10"), None], pa.decimal128(38, 2)),
            "share": [0.5, 0.25],
            "name": ["p", "q"],
        }
    )

    def count(batch: str) -> WriteResult:
        options = Options(counter=["n", "price", "share"], batch=batch)
        return store.write("t", money, key=["k"], options=options)

    assert count("1").put == 2
    assert count("2").row_count == 2
    assert count("1") == count("2") == WriteResult(put=0, deleted=0, kept=0, row_count=2)
    assert rows(store) == [
        {"k": "a", "n": 2, "price": Decimal("0.20"), "share": 1.0, "name": "p"},
        {"k": "b", "n": 4, "price": None, "share": 0.5, "name": "q"},
    ]
    # A table that was dropped begins anew.
    store.drop("t")
    count("1")
    assert [row["n"] for row in rows(store)] == [1, 2]


def test_the_name_of_a_batch_may_be_long(store: NoSQLStore) -> None:
    for batch in ("x" * 2000, "x" * 2001, "x" * 2000):
        store.write("t", frame(k=["a"], n=[1]), key=["k"], options=Options(counter=["n"], batch=batch))
    assert rows(store) == [{"k": "a", "n": 2}]
    with pytest.raises(NoSQLError, match="'t': batch is empty"):
        store.write("t", frame(k=["a"], n=[1]), options=Options(batch=""))


def test_counters_are_refused_where_they_cannot_be_exact(store: NoSQLStore) -> None:
    store.write("t", frame(k=["a"], n=[2**63 - 1], text=["x"]), key=["k"])
    came = frame(k=["a"], n=[1], text=["y"])
    with pytest.raises(NoSQLError, match="counter needs a batch"):
        store.write("t", came, key=["k"], options=Options(counter=["n"]))
    for column, words in (("n", "exceeds"), ("text", "not a number"), ("k", "'k'"), ("nothing", "'nothing'")):
        with pytest.raises(SchemaMismatch, match=words):
            store.write("t", came, key=["k"], options=Options(counter=[column], batch="1"))
    assert rows(store) == [{"k": "a", "n": 2**63 - 1, "text": "x"}]


def test_a_table_fed_by_row_difference_takes_no_condition_and_no_counter(store: NoSQLStore) -> None:
    for options in (Options(condition="new.x > old.x"), Options(counter=["x"], batch="1")):
        with pytest.raises(NoSQLError, match="row difference"):
            store.write("t", frame(k=["a"], x=[1]), key=["k"], source_commit="c1", options=options)
    with pytest.raises(NoSQLError, match="replace or columns"):
        store.write("t", frame(k=["a"], x=[1]), key=["k"], options=Options(update="some"))  # type: ignore[arg-type]
    assert store.tables() == ()


def test_the_log_of_a_table_names_its_operations_the_newest_first(store: NoSQLStore) -> None:
    assert store.history("t") == ()
    store.write("t", frame(k=["a", "b"], x=[1, 2]), key=["k"], source_commit="c1", options=Options(run="r1"))
    store.write("other", frame(k=["a"]), key=["k"])
    store.write("t", frame(k=["a"], x=[0]), key=["k"], newest_by=["x"])
    store.delete("t", ["a"])
    store.drop("t")
    found = store.history("t")
    assert [(one.kind, one.mode, one.put, one.deleted, one.kept, one.row_count) for one in found] == [
        ("drop", "", 0, 1, 0, 0),
        ("delete", "", 0, 1, 0, 1),
        ("write", "append", 0, 0, 1, 2),
        ("write", "append", 2, 0, 0, 2),
    ]
    assert [one.source_commit for one in found] == [None, "c1", "c1", "c1"]
    assert [one.at for one in found] == sorted((one.at for one in found), reverse=True)
    assert [one.run for one in found] == ["", "", "", "r1"]
    assert len(store.history("other")) == 1


def test_the_log_of_a_table_keeps_its_last_operations(store: NoSQLStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "LOGGED", 20)
    for at in range(25):
        store.write("t", frame(k=["a"], x=[at]), key=["k"], source_commit=str(at))
        if at == 1:
            store.drop("t")
    found = [one.source_commit for one in store.history("t")]
    assert 20 <= len(found) <= 22
    assert found == [str(at) for at in reversed(range(25))][: len(found)]


def test_a_log_of_an_earlier_version_has_no_run_and_is_read() -> None:
    earlier = {"at": "2026", "kind": "write", "mode": "append", "put": 1, "deleted": 0, "kept": 0, "row_count": 1}
    read = msgspec.msgpack.decode(msgspec.msgpack.encode(earlier | {"source_commit": None}), type=Operation)
    assert (read.put, read.run) == (1, "")


@pytest.mark.parametrize(
    "text",
    ["count(*) > 1", "sum(new.at) > 1", "row_number() over () = 1", "exists(SELECT 1)", "new.at IN (SELECT 5)", " "],
)
def test_an_expression_sees_one_row_only_however_many_are_read_at_once(store: NoSQLStore, text: str) -> None:
    store.write("t", frame(k=["a"], at=[1]), key=["k"])
    for options in (Options(condition=text), Options(set={"at": f"CAST({text} AS BIGINT)"})):
        with pytest.raises(NoSQLError, match="refused"):
            store.write("t", frame(k=["a", "b"], at=[2, 2]), key=["k"], options=options)
    where = text.replace("new.", "")
    for read in (lambda: rows(store, where=where or "x"), lambda: store.delete("t", where=where)):
        with pytest.raises(NoSQLError, match="refused"):
            read()
    assert rows(store) == [{"k": "a", "at": 1}]


def test_an_expression_names_no_column_that_sql_does_not_tell_from_another(store: NoSQLStore) -> None:
    items = frame(k=["a"], one=[1], ONE=[10], other=[5])
    store.write("t", items, key=["k"])
    assert len(rows(store, where="other = 5")) == 1
    with pytest.raises(NoSQLError, match="names 'one' and 'ONE' differ in case only: rename one"):
        rows(store, where='"ONE" = 10')
    with pytest.raises(NoSQLError, match="differ in case only"):
        store.write("t", items.assign(ONE=11), options=Options(condition="new.ONE > old.ONE"))
    assert store.write("t", items.assign(other=6), options=Options(condition="new.other > old.other")).put == 1


def test_a_sum_of_float32_is_rounded_as_it_is_stored(store: NoSQLStore) -> None:
    tenths = pa.table({"k": ["a"], "f": pa.array([0.1], pa.float32())})
    for batch in range(4):
        store.write("t", tenths, key=["k"], options=Options(counter=["f"], batch=str(batch)))
    tenth = np.float32(0.1)
    assert rows(store) == [{"k": "a", "f": float(tenth + tenth + tenth + tenth)}]


def test_counters_and_updates_of_columns_meet_rows_that_are_shorter_or_absent(store: NoSQLStore) -> None:
    store.write("t", frame(k=["a", "b"], x=[1, 2]), key=["k"])
    wide = frame(k=["a", "c"], x=[5, 5], n=[10, 10])
    add = Options(counter=["n", "x"], batch="1")
    assert store.write("t", wide, allow_overwrite_schema=True, options=add).put == 2
    part = Options(update="columns", counter=["n"], batch="2")
    store.write("t", frame(n=[1, None, 7], k=["a", "b", "d"]).astype({"n": "Int64"}), options=part)
    assert [(row["k"], row["x"], row["n"]) for row in rows(store)] == [
        ("a", 6, 11),
        ("b", 2, None),
        ("c", 5, 10),
        ("d", None, 7),
    ]
