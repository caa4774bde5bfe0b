"""What a table is made with: its key, groups, parts and time to live, on every store."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.nosql.contract import Key, NoSQLError, NoSQLStore, Options, SchemaMismatch
from lake_assets.nosql.dynamodb import reading
from lake_assets.nosql.pruning import key_range
from lake_assets_tests.depth import examples

SOON = datetime.now(timezone.utc) + timedelta(days=1)
PAST = datetime.now(timezone.utc) - timedelta(days=1)


def frame(**columns: list[Any]) -> pd.DataFrame:
    return pd.DataFrame(columns)


def rows(store: NoSQLStore, table: str = "t", **bounds: Any) -> list[dict[str, Any]]:
    return [row for batch in store.scan(table, **bounds) for row in batch.to_pylist()]


# --- the key


def test_rows_without_a_key_get_running_numbers_that_go_on(store: NoSQLStore) -> None:
    store.write("t", frame(x=["a", "b"]))
    store.write("t", frame(x=["c"]))
    assert store.key("t") == ("id",)
    assert [(row["id"], row["x"]) for row in rows(store)] == [(0, "a"), (1, "b"), (2, "c")]
    # An item is changed by its number, and the next one goes on after it.
    store.write("t", frame(id=[1, 7], x=["B", "h"]))
    store.delete("t", [7])
    store.write("t", pa.table({"x": ["i"]}))
    assert [(row["id"], row["x"]) for row in rows(store)] == [(0, "a"), (1, "B"), (2, "c"), (8, "i")]
    store.write("t", frame(x=["z"]), mode="overwrite")
    assert rows(store) == [{"id": 0, "x": "z"}]


def test_the_named_index_of_a_frame_is_the_key(store: NoSQLStore) -> None:
    bars = frame(isin=["A", "A"], minute=[1, 2], price=[1.0, 2.0]).set_index(["isin", "minute"])
    store.write("t", bars)
    assert store.key("t") == ("isin", "minute")
    assert store.get("t", ("A", 2)) == {"isin": "A", "minute": 2, "price": 2.0}
    # Later writes need not name it, and may name it all the same.
    store.write("t", bars.reset_index().assign(price=3.0))
    store.write("t", bars.assign(price=4.0), key=["isin", "minute"])
    assert [row["price"] for row in rows(store)] == [4.0, 4.0]


def test_a_key_is_asked_for_where_it_cannot_be_made_up(store: NoSQLStore) -> None:
    with pytest.raises(SchemaMismatch, match=r"name the key columns.*'id' already"):
        store.write("t", frame(id=[1], x=[1]))
    with pytest.raises(SchemaMismatch, match="has no key: name its key"):
        store.write("t", frame(x=[1]), source_commit="c1")
    with pytest.raises(SchemaMismatch, match="partition needs one"):
        store.write("t", frame(x=[1], day=["d"]), options=Options(partition=["day"]))
    assert store.tables() == ()


# --- groups


def test_items_are_grouped_by_a_column_and_pruned_by_filters(store: NoSQLStore) -> None:
    days = [f"2017-07-{day:02}" for day in range(1, 4)]
    bars = frame(isin=["A", "B"] * 3, day=[day for day in days for _ in "AB"], price=list(range(6)))
    store.write("t", bars, key=["isin"], options=Options(partition=["day"]))
    assert store.key("t") == ("day", "isin")
    assert [row["price"] for row in rows(store, where="day = '2017-07-02'")] == [2, 3]
    assert [row["price"] for row in rows(store, where="'2017-07-02' <= day and price > 2")] == [3, 4, 5]
    assert [row["price"] for row in rows(store, where="DAY between '2017-07-01' and '2017-07-02' AND isin = 'B'")] == [
        1,
        3,
    ]
    assert rows(store, where="day = '2017-07-02' AND isin = 'Z'") == []
    assert store.delete("t", where="day = '2017-07-02'") == 2
    assert store.row_count("t") == 4


SCHEMA = pa.schema([("s", pa.string()), ("n", pa.int64()), ("v", pa.int64())])
STORED = [{"s": s, "n": n, "v": v} for v, (s, n) in enumerate((s, n) for s in ("a", "ab", "b") for n in (-5, 0, 3))]
_value = {
    "s": st.sampled_from(["'a'", "'ab'", "'aa'", "'z'", "''"]),
    "n": st.sampled_from(["-5", "0", "2", "2.5", "99"]),
}
_column = st.sampled_from(["s", "n"])
_sign = st.sampled_from(["=", "<", "<=", ">", ">=", "<>", "IS DISTINCT FROM"])


@st.composite
def comparison(draw: st.DrawFn) -> str:
    """A comparison of a key column with a constant, either way around."""
    column = draw(_column)
    sides = [column, draw(_value[column])]
    if draw(st.booleans()):
        sides.reverse()
    kind = draw(st.sampled_from(["plain", "between", "in", "not"]))
    if kind == "between":
        return f"{column} BETWEEN {draw(_value[column])} AND {draw(_value[column])}"
    if kind == "in":
        return f"{column} IN ({draw(_value[column])}, {draw(_value[column])})"
    plain = f"{sides[0]} {draw(_sign)} {sides[1]}"
    return f"NOT ({plain})" if kind == "not" else plain


filters = st.recursive(
    comparison(),
    lambda inner: st.tuples(inner, st.sampled_from(["AND", "AND", "OR"]), inner).map(lambda it: f"({' '.join(it)})"),
    max_leaves=4,
)


@pytest.mark.property
def test_pruning_leaves_out_nothing_that_a_filter_wants(store: NoSQLStore) -> None:
    import duckdb

    store.write("t", pd.DataFrame(STORED), key=["s", "n"])
    everything = duckdb.from_arrow(pa.Table.from_pylist(STORED))

    @settings(max_examples=examples(60))
    @given(where=filters)
    def check(where: str) -> None:
        wanted = everything.filter(where).order("v").project("v").fetchall()
        assert [(row["v"],) for row in rows(store, where=where)] == wanted, where

    check()


@pytest.mark.parametrize(
    ("where", "partition", "bounded"),
    [
        ("s = 'a'", "a", True),
        ("s = 'a' AND n > 3", "a", True),
        ("s >= 'a' AND s < 'b'", None, True),
        ("s = 'a' OR v = 1", None, False),
        ("lower(s) = 'a'", None, False),
        ("n = 3", None, False),
        ("s = 5", None, False),
        ("n = 2.5 AND s = 'a'", "a", True),
        ("s = 'a' AND n > 99999999999999999999", "a", False),
    ],
)
def test_the_range_that_a_filter_can_be_true_for(where: str, partition: str | None, bounded: bool) -> None:
    found = key_range(where, SCHEMA, ["s", "n"])
    if bounded:
        assert (found.partition, found.high is not None) == (partition, True)
    else:
        assert (found.low, found.high) == (b"", None)


@pytest.mark.parametrize(
    ("start", "end", "partition"),
    [
        (("a", 3), ("a", 5), "a"),
        (("a", 3), ("a\0",), "a"),
        (("a",), ("a\0",), "a"),
        ("a", "a\0", "a"),
        (5, 6, 5),
        ((5, "x"), (6,), 5),
        (("a",), ("b",), None),
        (("a", 3), ("b", 5), None),
        (("a",), None, None),
        (None, ("a",), None),
    ],
)
def test_a_range_within_one_partition_is_queried(start: Key | None, end: Key | None, partition: str | None) -> None:
    assert reading._partition(start, end, None) == partition


# --- parts


def test_a_hot_key_is_spread_over_parts_and_read_as_one(store: NoSQLStore) -> None:
    ticks = frame(isin=["A"] * 200 + ["B"], minute=[*range(200), 0], price=list(range(201)))
    spread = Options(spread=8)
    store.write("t", ticks, key=["isin", "minute"], options=spread)
    assert [row["minute"] for row in rows(store, prefix=("A", 20))] == [20]
    assert [row["minute"] for row in rows(store, start=("A", 190), end=("A", 195))] == [190, 191, 192, 193, 194]
    assert [row["minute"] for row in rows(store, where="isin = 'A' AND minute < 3")] == [0, 1, 2]
    assert len(rows(store)) == 201
    # Later writes need not say it.
    store.write("t", frame(isin=["A"], minute=[5], price=[-1]), key=["isin", "minute"])
    assert store.get("t", ("A", 5)) == {"isin": "A", "minute": 5, "price": -1}
    assert (store.row_count("t"), store.delete("t", [("A", 5)])) == (201, 1)
    with pytest.raises(SchemaMismatch, match="spread 8, and the write has 4"):
        store.write("t", ticks, key=["isin", "minute"], options=Options(spread=4))
    store.write("t", ticks, key=["isin", "minute"], mode="overwrite", options=Options(spread=3), source_commit="c1")
    store.write("t", ticks.head(5), key=["isin", "minute"], mode="overwrite", source_commit="c2")
    assert [row["minute"] for row in rows(store)] == [0, 1, 2, 3, 4]


def test_spreading_is_refused_where_it_would_do_nothing(store: NoSQLStore) -> None:
    with pytest.raises(SchemaMismatch, match="spread needs a sort key"):
        store.write("t", frame(k=["a"], x=[1]), key=["k"], options=Options(spread=4))
    with pytest.raises(NoSQLError, match="spread is 0"):
        store.write("t", frame(k=["a"], n=[1]), key=["k", "n"], options=Options(spread=0))


# --- time to live


def test_an_item_is_not_there_any_more_after_its_time(store: NoSQLStore) -> None:
    ttl = Options(ttl="until")
    store.write("t", frame(k=["a", "b", "c"], n=[1, 1, 1], until=[SOON, PAST, None]), key=["k"], options=ttl)
    assert [row["k"] for row in rows(store)] == ["a", "c"]
    assert (store.get("t", "b"), store.get_many("t", ["a", "b"])["k"].to_pylist()) == (None, ["a"])
    # What expired is no stored item for the next write.
    result = store.write("t", frame(k=["a", "b"], n=[2, 2], until=[PAST, SOON]), key=["k"], mode="create_only")
    assert (result.put, result.kept) == (1, 1)
    counted = store.write(
        "t",
        frame(k=["b"], n=[5], until=[PAST]),
        key=["k"],
        options=Options(counter=["n"], batch="1", ttl="until"),
    )
    assert counted.put == 1
    store.write("t", frame(k=["b"], n=[5], until=[SOON]), key=["k"], options=Options(counter=["n"], batch="2"))
    assert [(row["k"], row["n"]) for row in rows(store)] == [("a", 1), ("b", 5), ("c", 1)]


def test_a_time_to_live_is_a_column_of_timestamps_from_the_beginning(store: NoSQLStore) -> None:
    items = frame(k=["a"], x=[1], until=[SOON])
    for column, words in (("x", "no timestamp"), ("k", "'k'"), ("nothing", "'nothing'")):
        with pytest.raises(SchemaMismatch, match=words):
            store.write("t", items, key=["k"], options=Options(ttl=column))
    store.write("t", items, key=["k"])
    with pytest.raises(SchemaMismatch, match="ttl None, and the write has until"):
        store.write("t", items, key=["k"], options=Options(ttl="until"))
    store.write("t", items.assign(until=PAST), key=["k"], mode="overwrite", options=Options(ttl="until"))
    assert rows(store) == []


def test_an_overwrite_may_move_the_time_to_live_among_the_columns(store: NoSQLStore) -> None:
    ttl = Options(ttl="until")
    store.write("t", frame(k=["a"], until=[PAST], x=["text"]), key=["k"], options=ttl)
    result = store.write("t", frame(k=["a"], x=["text"], until=[SOON]), key=["k"], mode="overwrite", options=ttl)
    assert (result.put, result.row_count) == (1, 1)
    assert [(row["k"], row["x"]) for row in rows(store)] == [("a", "text")]


def test_a_table_that_is_fed_by_row_difference_expires_nothing(store: NoSQLStore) -> None:
    items = frame(k=["a"], x=[1], until=[SOON])
    with pytest.raises(NoSQLError, match=r"ttl is refused.*row difference"):
        store.write("t", items, key=["k"], source_commit="c1", options=Options(ttl="until"))
    with pytest.raises(NoSQLError, match=r"set is refused.*row difference"):
        store.write("t", items, key=["k"], source_commit="c1", options=Options(set={"x": "1"}))
    store.write("t", items, key=["k"], options=Options(ttl="until"))
    with pytest.raises(NoSQLError, match=r"ttl is refused.*row difference"):
        store.write("t", items, key=["k"], source_commit="c1")


# --- expressions and deletions


def test_columns_are_set_by_expressions_over_the_stored_and_the_new_item(store: NoSQLStore) -> None:
    options = Options(set={"high": "greatest(old.high, new.price)", "n": "coalesce(old.n, 0) + 1"})
    ticks = frame(k=["a", "b"], price=[5.0, 7.0], high=[0.0, 0.0], n=[0, 0])
    store.write("t", ticks, key=["k"], options=options)
    store.write("t", ticks.assign(price=[9.0, 1.0]), key=["k"], options=options)
    assert [(row["price"], row["high"], row["n"]) for row in rows(store)] == [(9.0, 9.0, 2), (1.0, 7.0, 2)]
    partial = Options(update="columns", set=options.set, condition="new.price < 100")
    result = store.write("t", frame(k=["a", "b", "c"], price=[10.0, 999.0, 1.0]), key=["k"], options=partial)
    assert (result.put, result.kept) == (2, 1)
    assert [(row["price"], row["high"], row["n"]) for row in rows(store)] == [
        (10.0, 10.0, 3),
        (1.0, 7.0, 2),
        (1.0, 1.0, 1),
    ]
    once = Options(update="columns", set=options.set, batch="1")
    for _ in range(2):
        store.write("t", frame(k=["a"], price=[11.0]), key=["k"], options=once)
    assert (store.get("t", "a") or {})["n"] == 4


@pytest.mark.parametrize(
    ("expressions", "words"),
    [
        ({"nothing": "1"}, "'nothing'"),
        ({"k": "'b'"}, "'k'"),
        ({"x": "old.nothing"}, "refused"),
        ({"x": "'text'"}, "does not fit"),
        ({"x": "old.x + 9223372036854775807"}, "refused|does not fit"),
        ({"at": "new.at + INTERVAL 9000 YEAR"}, "'t': set: column 'at' has a time .* after 9999"),
    ],
)
def test_an_expression_that_does_not_fit_is_refused(store: NoSQLStore, expressions: dict[str, str], words: str) -> None:
    store.write("t", frame(k=["a"], x=[1], at=[PAST]), key=["k"])
    came = frame(k=["a"], x=[2], at=[PAST])
    with pytest.raises(NoSQLError, match=words):
        store.write("t", came, key=["k"], options=Options(set=expressions))
    with pytest.raises(NoSQLError, match="'x' is a counter"):
        store.write("t", came, options=Options(set={"x": "1"}, counter=["x"], batch="1"))
    assert [row["x"] for row in rows(store)] == [1]


def test_items_are_deleted_by_a_filter(store: NoSQLStore) -> None:
    store.write("t", frame(k=["a", "b", "c", "d"], x=[1.0, None, 3.0, 4.0]), key=["k"], source_commit="c1")
    assert store.delete("t", where="x > 2 AND k < 'd'") == 1
    assert store.delete("t", ["a", "z"], where="x IS NULL") == 2
    assert ([row["k"] for row in rows(store)], store.row_count("t")) == (["d"], 1)
    with pytest.raises(NoSQLError, match="refused"):
        store.delete("t", where="nothing = 1")
    assert store.history("t")[0].kind == "delete"
