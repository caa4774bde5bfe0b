"""What every NoSQL store does, whatever it is built on."""

from __future__ import annotations

from datetime import date, datetime, timezone
from decimal import Decimal
from itertools import permutations
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from lake_assets.nosql.contract import (
    NoSQLError,
    NoSQLStore,
    Options,
    SchemaMismatch,
    StaleWrite,
    TableExists,
    TableNotFound,
    WriteResult,
)


def frame(**columns: list[Any]) -> pd.DataFrame:
    return pd.DataFrame(columns)


def rows(store: NoSQLStore, table: str = "t", **bounds: Any) -> list[dict[str, Any]]:
    return [row for batch in store.scan(table, **bounds) for row in batch.to_pylist()]


PRICES = frame(price=[1.5, 2.5], isin=["b", "a"])


def test_a_new_store_has_no_tables(store: NoSQLStore) -> None:
    assert store.tables() == ()
    assert store.source_commit("t") is None
    for absent in (store.schema, store.key, store.row_count, store.drop, store.scan):
        with pytest.raises(TableNotFound, match="'t'"):
            absent("t")
    with pytest.raises(TableNotFound):
        store.get("t", "a")
    with pytest.raises(TableNotFound):
        store.delete("t", ["a"])


def test_written_items_are_read_back_by_key_and_in_key_order(store: NoSQLStore) -> None:
    result = store.write("t", PRICES, key=["isin"], source_commit="c1")
    assert result == WriteResult(put=2, deleted=0, kept=0, row_count=2)
    assert store.tables() == ("t",)
    assert store.key("t") == ("isin",)
    assert store.schema("t") == pa.schema([pa.field("isin", pa.string(), nullable=False), ("price", pa.float64())])
    assert store.row_count("t") == 2
    assert store.source_commit("t") == "c1"
    assert store.get("t", "a") == {"isin": "a", "price": 2.5}
    assert store.get("t", "c") is None
    assert rows(store) == [{"isin": "a", "price": 2.5}, {"isin": "b", "price": 1.5}]


def test_tables_are_sorted_and_apart_and_drop_removes_one(store: NoSQLStore) -> None:
    for name in ("meta", "b", "ü and more", "a"):
        store.write(name, PRICES, key=["isin"], source_commit=name)
    assert store.tables() == ("a", "b", "meta", "ü and more")
    store.drop("b")
    assert store.tables() == ("a", "meta", "ü and more")
    assert store.source_commit("b") is None
    assert store.row_count("meta") == 2
    store.write("b", frame(other=[1]), key=["other"], mode="errorifexists")
    assert rows(store, "b") == [{"other": 1}]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({"k": ["a", None], "n": [1, 2]}, "key column 'k' contains a null where n is 2 (row 2)"),
        ({"k": ["a", "b", ""], "n": [1, 2, 3]}, "key column 'k' contains an empty string where n is 3 (row 3)"),
        ({"k": ["a", "b"], "n": pa.array([1, None])}, "key column 'n' contains a null where k is 'b' (row 2)"),
        (
            {"k": ["a", "b" * 600], "n": [1, 2]},
            f"key ('k', 'n') has a value of more than 511 bytes where k is '{'b' * 39}…, n is 2 (row 2)",
        ),
        (
            {"k": ["a"] * 70_000 + [None], "n": list(range(70_001))},
            "key column 'k' contains a null where n is 70000 (row 70,001)",
        ),
    ],
)
def test_a_refused_key_names_its_row(store: NoSQLStore, rows: dict[str, Any], words: str) -> None:
    with pytest.raises(SchemaMismatch) as refused:
        store.write("t", pa.table(rows), key=["k", "n"])
    assert str(refused.value) == f"table 't': {words}"
    assert store.tables() == ()


def test_a_refused_key_to_delete_names_its_row(store: NoSQLStore) -> None:
    store.write("t", PRICES, key=["isin"])
    with pytest.raises(SchemaMismatch, match=r"'isin' contains an empty string \(row 2\)"):
        store.write("t", PRICES, key=["isin"], delete=pa.table({"isin": ["a", ""]}))
    assert store.row_count("t") == 2


@pytest.mark.parametrize("name", ["", "a\nb", "a\x00"])
def test_a_table_name_with_nothing_or_control_characters_is_refused(store: NoSQLStore, name: str) -> None:
    with pytest.raises(NoSQLError, match="valid table name"):
        store.write(name, PRICES, key=["isin"])


def test_append_upserts_and_column_order_does_not_matter(store: NoSQLStore) -> None:
    store.write("t", PRICES, key=["isin"])
    result = store.write("t", frame(isin=["c", "a"], price=[3.0, 9.0]), key=["isin"])
    assert result == WriteResult(put=2, deleted=0, kept=0, row_count=3)
    assert [row["price"] for row in rows(store)] == [9.0, 1.5, 3.0]


def test_overwrite_replaces_items_and_schema(store: NoSQLStore) -> None:
    store.write("t", PRICES, key=["isin"], source_commit="c1")
    result = store.write("t", frame(n=[7], isin=["z"]), key=["n"], mode="overwrite")
    assert result == WriteResult(put=1, deleted=2, kept=0, row_count=1)
    assert rows(store) == [{"n": 7, "isin": "z"}]
    assert store.source_commit("t") is None


def test_errorifexists_and_ignore_leave_a_table_that_is_there(store: NoSQLStore) -> None:
    store.write("t", PRICES, key=["isin"], mode="errorifexists")
    with pytest.raises(TableExists, match="'t'"):
        store.write("t", PRICES.head(1), key=["isin"], mode="errorifexists")
    ignored = store.write("t", frame(anything=[1]), key=["anything"], mode="ignore")
    assert ignored == WriteResult(put=0, deleted=0, kept=0, row_count=2)
    assert store.write("new", PRICES, key=["isin"], mode="ignore").put == 2
    with pytest.raises(NoSQLError, match="append, overwrite, errorifexists, ignore"):
        store.write("t", PRICES, key=["isin"], mode="replace")  # type: ignore[arg-type]


def test_a_frame_without_rows_makes_an_empty_table(store: NoSQLStore) -> None:
    assert store.write("t", PRICES.astype({"isin": "string"}).head(0), key=["isin"]).row_count == 0
    assert rows(store) == []
    assert store.schema("t").names == ["isin", "price"]


@pytest.mark.parametrize(
    ("came", "words"),
    [
        (frame(isin=["a"]), ["'price' is stored as double", "lacks"]),
        (frame(isin=["a"], price=["x"]), ["'price' is stored as double", "has string"]),
        (frame(isin=["a"], price=[1]), ["'price' is stored as double", "has int64"]),
        (frame(isin=["a"], price=[1.0], new=[1]), ["'new' is not stored", "int64", "allow_overwrite_schema"]),
        (frame(isin=[None], price=[1.0]).astype({"isin": "string"}), ["'isin'", "null"]),
        (frame(isin=["", "a"], price=[1.0, 2.0]), ["'isin'", "empty"]),
        (frame(isin=["x" * 2000], price=[1.0]), ["'isin'", "bytes"]),
        (frame(isin=["k", "k"], price=[1.0, 2.0]), ["'k'", "newest_by"]),
    ],
)
def test_a_frame_that_does_not_fit_is_refused_by_name_and_the_table_stays(
    store: NoSQLStore, came: pd.DataFrame, words: list[str]
) -> None:
    store.write("t", PRICES, key=["isin"], source_commit="c1")
    before = rows(store)
    with pytest.raises(SchemaMismatch) as refused:
        store.write("t", came, key=["isin"], source_commit="c2")
    assert all(word in str(refused.value) for word in [*words, "'t'"]), str(refused.value)
    assert rows(store) == before
    assert store.source_commit("t") == "c1"


@pytest.mark.parametrize("key", [["isin", "isin"], ["nothing"], ["price"]])
def test_a_key_that_is_none_is_refused(store: NoSQLStore, key: list[str]) -> None:
    with pytest.raises(SchemaMismatch, match="key"):
        store.write("t", PRICES, key=key)
    assert store.tables() == ()


def test_another_key_than_the_tables_is_refused(store: NoSQLStore) -> None:
    store.write("t", frame(a=["x"], b=["y"]), key=["a"])
    with pytest.raises(SchemaMismatch, match="has the key"):
        store.write("t", frame(a=["x"], b=["y"]), key=["a", "b"])


def test_a_column_of_a_type_that_is_not_kept_is_refused_by_name(store: NoSQLStore) -> None:
    with pytest.raises(SchemaMismatch, match="'gap'"):
        store.write("t", frame(k=["a"], gap=[pd.Timedelta(seconds=1)]), key=["k"])
    with pytest.raises(SchemaMismatch, match="'unknown' contains only nulls"):
        store.write("t", frame(k=["a"], unknown=[None]), key=["k"])


def test_a_new_column_is_let_in_when_asked_for_and_old_items_have_null_there(store: NoSQLStore) -> None:
    store.write("t", PRICES, key=["isin"])
    came = frame(volume=[7], isin=["a"], price=[1.0])
    store.write("t", came, key=["isin"], allow_overwrite_schema=True)
    assert store.schema("t").names == ["isin", "price", "volume"]
    assert rows(store) == [
        {"isin": "a", "price": 1.0, "volume": 7},
        {"isin": "b", "price": 1.5, "volume": None},
    ]
    store.write("t", frame(isin=["c"], price=[None], volume=[None]), key=["isin"])
    assert store.get("t", "c") == {"isin": "c", "price": None, "volume": None}


def test_newest_by_ends_the_same_in_every_order_of_writing(store: NoSQLStore) -> None:
    versions = [
        frame(isin=["a", "b"], day=[1, 1], price=[1.0, 5.0]),
        frame(isin=["a", "b"], day=[2, 1], price=[2.0, 6.0]),
        frame(isin=["a", "a"], day=[2, 2], price=[3.0, 2.5]),
    ]
    ends = set()
    for number, order in enumerate(permutations(versions)):
        for version in order:
            store.write(f"t{number}", version, key=["isin"], newest_by=["day"])
        ends.add(str(rows(store, f"t{number}")))
    assert len(ends) == 1
    assert [(row["isin"], row["day"]) for row in rows(store, "t0")] == [("a", 2), ("b", 1)]


def test_newest_by_counts_what_it_kept_and_null_is_older_than_all(store: NoSQLStore) -> None:
    store.write("t", frame(k=["a", "b"], at=[2.0, None], x=[1, 1]), key=["k"], newest_by=["at"])
    result = store.write("t", frame(k=["a", "b", "c"], at=[1.0, 0.0, None], x=[2, 2, 2]), key=["k"], newest_by=["at"])
    assert result == WriteResult(put=2, deleted=0, kept=1, row_count=3)
    assert [row["x"] for row in rows(store)] == [1, 2, 2]
    again = store.write("t", frame(k=["a"], at=[2.0], x=[1]), key=["k"], newest_by=["at"])
    assert (again.put, again.kept) == (0, 1)
    with pytest.raises(SchemaMismatch, match="'nothing'"):
        store.write("t", frame(k=["a"], at=[2.0], x=[1]), key=["k"], newest_by=["nothing"])


def test_deletions_come_first_in_the_same_write(store: NoSQLStore) -> None:
    store.write("t", frame(k=["a", "b", "c"], x=[1, 2, 3]), key=["k"])
    gone = frame(k=["a", "b", "nothing"])
    result = store.write("t", frame(k=["b"], x=[0]), key=["k"], newest_by=["x"], delete=gone)
    assert result == WriteResult(put=1, deleted=2, kept=0, row_count=2)
    assert rows(store) == [{"k": "b", "x": 0}, {"k": "c", "x": 3}]
    with pytest.raises(SchemaMismatch, match="'k' is stored as string, the frame has int64"):
        store.write("t", frame(k=["b"], x=[0]), key=["k"], delete=frame(k=[1]))


def test_delete_by_key_counts_what_was_there(store: NoSQLStore) -> None:
    store.write("t", PRICES, key=["isin"], source_commit="c1")
    assert store.delete("t", ["a", "a", "", "nothing"]) == 1
    assert [row["isin"] for row in rows(store)] == ["b"]
    assert store.source_commit("t") == "c1"


def test_a_write_from_another_commit_than_the_tables_is_stale(store: NoSQLStore) -> None:
    store.write("t", PRICES, key=["isin"], source_commit="c1", check_expected=True)
    for expected in (None, "c0"):
        with pytest.raises(StaleWrite, match="reflects commit c1"):
            store.write("t", PRICES, key=["isin"], source_commit="c2", expected_commit=expected, check_expected=True)
    store.write("t", PRICES, key=["isin"], source_commit="c2", expected_commit="c1", check_expected=True)
    assert store.source_commit("t") == "c2"


def test_keys_of_several_columns_sort_as_tuples_and_scan_by_their_first_ones(store: NoSQLStore) -> None:
    keys = [("a", -1), ("a", 3), ("a\x00", 0), ("ab", -5), ("b", 2)]
    came = frame(n=[n for _, n in reversed(keys)], x=[0] * 5, s=[s for s, _ in reversed(keys)])
    store.write("t", came, key=["s", "n"])
    assert [(row["s"], row["n"]) for row in rows(store)] == keys
    assert store.get("t", ("ab", -5)) == {"s": "ab", "n": -5, "x": 0}
    assert [row["n"] for row in rows(store, start=("a",), end=("a", 3))] == [-1]
    assert [row["s"] for row in rows(store, start="ab")] == ["ab", "b"]
    for wrong in ("a", ("a", "b"), ("a", True), ("a", 1, 2), ("a", 1 << 63)):
        with pytest.raises(NoSQLError, match="key"):
            store.get("t", wrong)


@pytest.mark.parametrize("options", [None, Options(spread=3)], ids=["plain", "spread"])
def test_a_key_that_is_false_in_python_is_a_key_like_any_other(store: NoSQLStore, options: Options | None) -> None:
    store.write("t", frame(k=[0, 0, 0, 1], m=[0, 3, 4, 4]), key=["k", "m"], options=options)
    zero = [{"k": 0, "m": 0}, {"k": 0, "m": 3}, {"k": 0, "m": 4}]
    assert rows(store, prefix=(0,)) == rows(store, prefix=0) == rows(store, where="k = 0") == zero
    assert rows(store, prefix=(0, 0)) == rows(store, where="k = 0 AND m = 0") == zero[:1]
    assert rows(store, where="k = 0 AND m > 3") == rows(store, start=(0, 4), end=(0, 5)) == zero[2:]
    assert rows(store, start=(0, 0), end=(0, 4)) == zero[:2]
    assert store.get("t", (0, 0)) == zero[0]
    assert store.delete("t", where="k = 0 AND m > 3") == 1
    assert store.delete("t", [(0, 0)]) == 1
    assert rows(store) == [zero[1], {"k": 1, "m": 4}]
    # Other values that are false: no key of a table has them.
    for value in (False, b""):
        with pytest.raises(NoSQLError, match="'k' is int64, got"):
            rows(store, prefix=(value, 0))  # pyright: ignore[reportArgumentType]
    store.write("text", frame(k=["a"], m=[0]), key=["k", "m"], options=options)
    assert rows(store, "text", prefix=("", 0)) == rows(store, "text", where="k = '' AND m = 0") == []
    assert rows(store, "text", prefix=("",)) == [{"k": "a", "m": 0}]


def test_a_range_takes_its_start_and_not_its_end_in_batches(store: NoSQLStore) -> None:
    store.write("t", frame(n=list(range(-50, 50))), key=["n"])
    batches = list(store.scan("t", start=-20, end=30, batch_size=16))
    assert [n for batch in batches for n in batch.column("n").to_pylist()] == list(range(-20, 30))
    assert max(batch.num_rows for batch in batches) == 16
    assert all(batch.schema == store.schema("t") for batch in batches)
    assert rows(store, start=30, end=-20) == []


def test_a_scan_is_one_snapshot_while_the_table_is_rewritten(store: NoSQLStore) -> None:
    store.write("t", frame(n=list(range(100)), x=[1] * 100), key=["n"])
    scan = store.scan("t", batch_size=10)
    seen = next(scan).column("x").to_pylist()
    store.write("t", frame(n=list(range(100)), x=[2] * 100), key=["n"], mode="overwrite")
    store.drop("t")
    seen += [x for batch in scan for x in batch.column("x").to_pylist()]
    assert seen == [1] * 100


def test_values_of_every_kept_type_come_back(store: NoSQLStore) -> None:
    row = {
        "k": "ключ",
        "flag": True,
        "byte": -128,
        "short": 32_767,
        "int": -(2**31),
        "long": 2**63 - 1,
        "float": 0.5,
        "double": float("inf"),
        "text": "",
        "raw": b"\x00\xff",
        "day": date(1582, 10, 4),
        "at": datetime(2017, 7, 28, 8, 0, 0, 1, timezone.utc),
        "local": datetime(1969, 12, 31, 23, 59, 59, 999_999),
        "money": Decimal("-12345678901234567890.123456789"),
        "list": [date(2020, 1, 1), None],
        "struct": {"a": [1], "b": {"c": "x"}},
    }
    types = pa.schema(
        [
            ("k", pa.string()),
            ("flag", pa.bool_()),
            ("byte", pa.int8()),
            ("short", pa.int16()),
            ("int", pa.int32()),
            ("long", pa.int64()),
            ("float", pa.float32()),
            ("double", pa.float64()),
            ("text", pa.string()),
            ("raw", pa.binary()),
            ("day", pa.date32()),
            ("at", pa.timestamp("us", "UTC")),
            ("local", pa.timestamp("us")),
            ("money", pa.decimal128(38, 9)),
            ("list", pa.list_(pa.date32())),
            ("struct", pa.struct([("a", pa.list_(pa.int64())), ("b", pa.struct([("c", pa.string())]))])),
        ]
    )
    nothing = dict.fromkeys(row) | {"k": "z"}
    came = pa.Table.from_pylist([row, nothing], types).to_pandas(types_mapper=pd.ArrowDtype)
    store.write("t", came, key=["k"])
    assert rows(store) == [nothing, row]
    assert store.get("t", "ключ") == row
    assert list(store.schema("t")) == [types.field(0).with_nullable(False), *list(types)[1:]]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([2932897], pa.date32()),
        pa.array([-62135596800000001], pa.timestamp("us")),
        pa.array([[{"at": 253402300800000000}]], pa.list_(pa.struct([("at", pa.timestamp("us", "UTC"))]))),
    ],
    ids=["day", "moment", "within"],
)
def test_years_that_python_does_not_have_are_refused_by_column(store: NoSQLStore, values: pa.Array) -> None:
    items = frame(k=["a"]).assign(beyond=pd.Series(values, dtype=pd.ArrowDtype(values.type)))
    with pytest.raises(SchemaMismatch, match="column 'beyond' has a time before the year 1 or after 9999"):
        store.write("t", items, key=["k"])
    assert store.tables() == ()


def test_what_is_no_frame_is_refused(store: NoSQLStore) -> None:
    with pytest.raises(NoSQLError, match="Spark frame, a pandas frame"):
        store.write("t", [{"k": 1}], key=["k"])  # type: ignore[arg-type]


def test_a_closed_store_says_so(store: NoSQLStore) -> None:
    store.close()
    store.close()
    with pytest.raises(NoSQLError, match="closed"):
        store.tables()


@pytest.mark.parametrize("values", [[1, "x"], [Decimal(1), 1.5], ["\ud800", "x"], [1 << 70, 1]])
def test_a_column_of_no_one_type_is_refused_by_name(store: NoSQLStore, values: list[Any]) -> None:
    with pytest.raises(SchemaMismatch, match="column 'x'"):
        store.write("t", frame(k=["a", "b"], x=values), key=["k"])
    assert store.tables() == ()


def test_a_frame_of_pandas_may_have_any_names_of_columns_but_none_twice(store: NoSQLStore) -> None:
    store.write("t", pd.DataFrame([[1, 2], [3, 4]]), key=["0"])
    store.write("index", pd.DataFrame({"x": [5]}, index=pd.Index([7], name=3)))
    store.write("both", pd.DataFrame([[7, 5]], index=pd.Index([7], name=0)))
    assert rows(store) == [{"0": 1, "1": 2}, {"0": 3, "1": 4}]
    assert (rows(store, "index"), rows(store, "both")) == ([{"3": 7, "x": 5}], [{"0": 7, "1": 5}])
    with pytest.raises(SchemaMismatch, match="column 'a' more than once"):
        store.write("t", pd.DataFrame([[1, 2, 3]], columns=pd.Index(["k", "a", "a"])), key=["k"])


def test_a_named_index_is_stored_beside_another_key_too(store: NoSQLStore) -> None:
    items = frame(k=["a", "b"], n=[1, 2], x=[3, 4])
    store.write("t", items.set_index("k"), key=["n"])
    assert rows(store) == [{"n": 1, "k": "a", "x": 3}, {"n": 2, "k": "b", "x": 4}]
    store.write("both", items.set_index("k", drop=False))
    assert (store.key("both"), rows(store, "both")) == (("k",), items.to_dict("records"))
