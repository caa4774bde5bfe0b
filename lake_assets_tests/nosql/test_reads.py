"""Reads of parts of a table: on every store."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.nosql.contract import NoSQLError, NoSQLStore, Options
from lake_assets.nosql.dynamodb.store import DynamoDBStore
from lake_assets.nosql.lmdb.store import LMDBStore
from lake_assets_tests.depth import examples

KEYS = [(s, t, n) for s in ("a", "a\x00", "ab", "b") for t in ("x", "xy", "y\x00", "\U0010ffff") for n in (-1, 0, 7)]

ROWS = [{"s": s, "t": t, "n": n, "v": v} for v, (s, t, n) in enumerate(KEYS)]
TABLES = {
    "three": ["s", "t", "n"],
    "texts": ["s", "t"],
    "numbers": ["s", "n"],
    "one": ["s"],
    "number": ["n"],
    "numbered": ["n", "t"],
    "spread": ["t", "n"],
}


def rows(store: NoSQLStore, table: str, **bounds: Any) -> list[dict[str, Any]]:
    return [row for batch in store.scan(table, **bounds) for row in batch.to_pylist()]


def fill(store: NoSQLStore) -> None:
    """Make tables with one, two and three key columns."""
    for table, columns in TABLES.items():
        # Not by drop_duplicates, which takes "a" and "a\x00" for one.
        found = {tuple(row[name] for name in columns): row for row in reversed(ROWS)}
        options = Options(spread=3 if table == "spread" else 1)
        store.write(table, pd.DataFrame([*found.values()]), key=columns, options=options)


@pytest.mark.property
def test_any_range_and_prefix_is_what_python_says(store: NoSQLStore) -> None:
    fill(store)
    every: dict[str, list[Any]] = {
        table: sorted({tuple(row[name] for name in columns) for row in ROWS}) for table, columns in TABLES.items()
    }

    @settings(max_examples=examples(40))
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        table = data.draw(st.sampled_from(sorted(TABLES)))
        keys = every[table]
        bound = st.sampled_from(keys).flatmap(lambda key: st.integers(1, len(key)).map(lambda count: key[:count]))
        bounds: dict[str, Any] = {
            name: data.draw(bound) for name in ("start", "end", "prefix") if data.draw(st.booleans())
        }
        if isinstance(bounds.get("prefix", (0,))[-1], str):
            *first, last = bounds["prefix"]
            bounds["prefix"] = (*first, last[: data.draw(st.integers(0, len(last)))])
        expected = [key for key in keys if _within(key, **bounds)]
        found = [tuple(row[name] for name in TABLES[table]) for row in rows(store, table, **bounds)]
        assert found == expected, bounds
        count = data.draw(st.integers(1, 4))
        parts = [row for at in range(count) for row in rows(store, table, **bounds, segment=(at, count))]
        assert sorted(tuple(row[name] for name in TABLES[table]) for row in parts) == expected, bounds

    check()


@pytest.mark.parametrize("table", ["three", "texts", "numbers", "spread"])
def test_a_range_from_one_partition_key_to_the_next_has_all_of_its_items(store: NoSQLStore, table: str) -> None:
    fill(store)
    first = TABLES[table][0]
    for value in {row[first] for row in ROWS}:
        found = [row[first] for row in rows(store, table, start=(value,), end=(f"{value}\0",))]
        assert found == [row[first] for row in rows(store, table) if row[first] == value]
        assert found


@pytest.mark.parametrize(
    ("table", "bounds", "read", "sent"),
    [
        # What is asked for by a partition key is read once, by all segments together.
        ("three", {"prefix": ("a", "xy")}, 3, 3),
        ("three", {"where": "s = 'a' AND t = 'x'"}, 3, 3),
        ("spread", {"prefix": ("x", 0)}, 1, 1),
        # DynamoDB reads all keys, but sends what is in the range of the first one.
        ("three", {"prefix": ("a",), "where": "n = 0"}, 48, 36),
        ("three", {"start": ("a\x00",), "end": ("b",)}, 48, 36),
        ("three", {"where": "s > 'ab'"}, 48, 24),
        ("numbered", {"start": (0,), "end": (7,)}, 12, 4),
        ("numbered", {"where": "n >= 7"}, 12, 4),
        ("spread", {"start": ("y",)}, 12, 6),
    ],
)
@pytest.mark.parametrize("segments", [None, 3])
def test_a_range_of_keys_is_asked_for_and_not_everything(
    dynamodb: Any, table: str, bounds: dict[str, Any], read: int, sent: int, segments: int | None
) -> None:
    store = DynamoDBStore(**dynamodb.options())
    fill(store)
    counts = {"ScannedCount": 0, "Count": 0}

    def count(parsed: dict[str, Any], **_: Any) -> None:
        for name in counts:
            counts[name] += parsed[name]

    for operation in ("Scan", "Query"):
        store._client.api.meta.events.register(f"after-call.dynamodb.{operation}", count)  # pyright: ignore[reportPrivateUsage]
    for part in [None] if segments is None else [(at, segments) for at in range(segments)]:
        rows(store, table, **bounds, segment=part)
    assert (counts["ScannedCount"], counts["Count"]) == (read, sent)
    store.close()


@pytest.mark.parametrize("key", [1.0, float("nan"), "1", True, None, b"1", 1 << 63, np.float64(1)])
def test_a_key_of_another_type_is_refused_by_name(store: NoSQLStore, key: Any) -> None:
    store.write("numbers", pd.DataFrame({"n": [1]}), key=["n"])
    with pytest.raises(NoSQLError, match="key column 'n'"):
        store.get("numbers", key)


def test_a_key_may_be_a_number_of_numpy(store: NoSQLStore) -> None:
    frame = pd.DataFrame({"n": [-(1 << 63), (1 << 63) - 1]})
    store.write("numbers", frame, key=["n"])
    assert [store.get("numbers", key) for key in frame["n"].to_numpy()] == frame.to_dict("records")


def _within(key: Any, start: Any = None, end: Any = None, prefix: Any = None) -> bool:
    if start is not None and key[: len(start)] < start:
        return False
    if end is not None and not key[: len(end)] < end:
        return False
    if prefix is None:
        return True
    *first, last = prefix
    part = key[len(first)]
    return list(key[: len(first)]) == first and (part.startswith(last) if isinstance(last, str) else part == last)


def test_a_filter_and_a_projection_choose_rows_and_columns(store: NoSQLStore) -> None:
    fill(store)
    found = rows(store, "three", where="n > 0 AND t LIKE 'x%' AND v <> 2", columns=["v", "t"])
    assert found == [{"v": v, "t": t} for v, (_, t, n) in enumerate(KEYS) if n > 0 and t in ("x", "xy") and v != 2]
    assert rows(store, "three", where="v > 1000") == []
    with pytest.raises(NoSQLError, match="'nothing'"):
        store.scan("three", columns=["nothing"])
    for wrong in ("nothing > 1", "v", "v >"):
        with pytest.raises(NoSQLError, match="'three'"):
            store.scan("three", where=wrong)


def test_all_segments_together_are_the_table_each_item_once(store: NoSQLStore) -> None:
    fill(store)
    for segments in (1, 3, 100):
        parts = [rows(store, "three", segment=(at, segments)) for at in range(segments)]
        assert sorted(row["v"] for part in parts for row in part) == list(range(len(KEYS)))
    with pytest.raises(NoSQLError, match="segment 3 of 3"):
        rows(store, "three", segment=(3, 3))


def test_segments_fit_together_while_someone_writes(store: NoSQLStore) -> None:
    keys, count = range(400), 4
    store.write("t", pa.table({"k": keys, "v": pa.array([0] * 400, pa.int64())}), key=["k"])
    seen: list[int] = []
    for at in range(count):
        scan = store.scan("t", batch_size=20, segment=(at, count))
        found = next(scan).to_pylist()
        # Meanwhile every item changes, others come, and some of those go again.
        new = pa.table(
            {"k": [*keys, *range(1000 + 10 * at, 1010 + 10 * at)], "v": pa.array([at + 1] * 410, pa.int64())}
        )
        store.write("t", new, key=["k"])
        store.delete("t", [1000 + 10 * at])
        found += [row for batch in scan for row in batch.to_pylist()]
        if isinstance(store, LMDBStore):
            assert {row["v"] for row in found if row["k"] in keys} == {at}
        seen += [row["k"] for row in found if row["k"] in keys]
    assert sorted(seen) == list(keys)


def test_several_keys_are_read_at_once_in_key_order(store: NoSQLStore) -> None:
    fill(store)
    wanted = [("b", "x", 7), ("a", "x", -1), ("a", "x", -1), ("a", "x", 5), ("a\x00", "y\x00", 0)]
    found = store.get_many("three", wanted)
    assert [(row["s"], row["t"], row["n"]) for row in found.to_pylist()] == [wanted[1], wanted[4], wanted[0]]
    assert found.schema == store.schema("three")
    assert store.get_many("three", []).num_rows == 0
    with pytest.raises(NoSQLError, match="components"):
        store.get_many("three", ["a"])


def test_a_key_that_no_item_can_have_is_not_there_and_no_error(store: NoSQLStore) -> None:
    fill(store)
    long = "x" * 3000
    assert store.get("one", long) is None
    assert store.get_many("texts", [("a", long), ("", "x"), ("a", "")]).num_rows == 0
    assert store.delete("texts", [(long, "x")]) == 0
    for bounds in ({"prefix": (long, "a")}, {"prefix": ("b", long)}, {"prefix": ("", "a")}, {"where": f"s = '{long}'"}):
        assert rows(store, "texts", **bounds) == []
    assert [row["t"] for row in rows(store, "texts", start=("a", "x"), end=("a", "y" + long))] == ["x", "xy", "y\x00"]
    assert rows(store, "texts", start=("a", long), end=("a", long + long)) == []


def test_what_is_no_key_and_no_size_is_refused(store: NoSQLStore) -> None:
    fill(store)
    with pytest.raises(NoSQLError, match=r"key column 's'.*no text"):
        store.get("one", "\ud800")
    with pytest.raises(NoSQLError, match=r"key \(\) has 0 components"):
        rows(store, "one", prefix=())
    for size in (0, -1):
        with pytest.raises(NoSQLError, match=f"batch_size is {size}"):
            rows(store, "one", batch_size=size)
