"""Every pair of options of a write: both stores do the same, or refuse it by the same line and write nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lake_assets.nosql.contract import NoSQLError, NoSQLStore, Options
from lake_assets.nosql.dynamodb.store import DynamoDBStore
from lake_assets.nosql.lmdb.store import LMDBStore

ROWS = {"k": ["a", "b", "c"], "n": [1, 2, 3], "day": ["mon", "tue", "wed"], "v": [1, 5, 5], "text": ["x", "y", "z"]}
LATER = {"k": ["a", "b", "d"], "n": [1, 2, 4], "day": ["mon", "tue", "wed"], "v": [2, 2, 2], "text": ["p", "q", "r"]}
ENDS = [datetime(2000, 1, 1, tzinfo=timezone.utc), datetime(2100, 1, 1, tzinfo=timezone.utc), None]

CHOICES: dict[str, dict[str, Any]] = {
    "overwrite": {"mode": "overwrite"},
    "errorifexists": {"mode": "errorifexists"},
    "ignore": {"mode": "ignore"},
    "create_only": {"mode": "create_only"},
    "newest_by": {"newest_by": ["v"]},
    "delete": {"delete": ["b", "c"]},
    "commit": {"source_commit": "c1"},
    "stale": {"expected_commit": "c0", "check_expected": True},
    "new column": {"more": "another"},
    "allowed column": {"more": "another", "allow_overwrite_schema": True},
    "no key": {"key": []},
    "sort key": {"key": ["k", "n"]},
    "some columns": {"columns": ["k", "n", "day", "v", "until"]},
    "no rows": {"rows": 0},
    "a key twice": {"twice": True},
    "a null in the key": {"value": ("k", None)},
    "an empty key": {"value": ("k", "")},
    "a long key": {"value": ("k", "x" * 600)},
    "another type": {"value": ("v", "many")},
    "update": {"options": {"update": "columns"}},
    "condition": {"options": {"condition": "new.v > old.v"}},
    "counter": {"options": {"counter": ["v"], "batch": "1"}},
    "set": {"options": {"set": {"v": "coalesce(old.v, 0) + 10 * new.v"}}},
    "batch": {"options": {"batch": "1"}},
    "a batch without a name": {"options": {"batch": ""}},
    "a batch with a long name": {"options": {"counter": ["v"], "batch": "x" * 2000}},
    "partition": {"options": {"partition": ["day"]}},
    "spread": {"key": ["k", "n"], "options": {"spread": 3}},
    "too much spread": {"options": {"spread": 101}},
    "ttl": {"options": {"ttl": "until"}},
}


def merged(names: tuple[str, ...]) -> dict[str, Any]:
    """Return the arguments of several choices together."""
    found: dict[str, Any] = {"key": ["k"], "options": {}}
    for name in names:
        options = {**found["options"], **CHOICES[name].get("options", {})}
        found |= {**CHOICES[name], "options": options}
    return found


def write(store: NoSQLStore, table: str, rows: dict[str, list[Any]], given: dict[str, Any]) -> str:
    """Write rows, and return what came of it."""
    given = dict(given)
    items = pa.table({**rows, "until": pa.array(ENDS, pa.timestamp("us", "UTC"))})
    name, value = given.pop("value", ("k", rows["k"][1]))
    values = [str(one) for one in rows[name]] if isinstance(value, str) else rows[name]
    items = items.set_column(items.schema.get_field_index(name), name, pa.array([values[0], value, values[2]]))
    if more := given.pop("more", None):
        items = items.append_column(more, pa.array([7] * 3))
    items = items.select([*given.pop("columns", items.schema.names)]).slice(0, given.pop("rows", 3))
    items = pa.concat_tables([items, items.slice(0, 1)]) if given.pop("twice", False) else items
    if gone := given.pop("delete", None):
        given["delete"] = pa.table({**rows, "k": [*gone, "none"]}).select(
            [*given["options"].get("partition", ()), *given["key"]]
        )
    given["options"] = options = Options(**given["options"])
    try:
        result = store.write(table, items, **given)
    except NoSQLError as error:
        # Before the table, a line names the store.
        where, _, what = str(error).partition(f"table {table!r}")
        return f"{type(error).__name__}: {what}" if what else where
    # DynamoDB removes what has expired when it likes, so it is counted there.
    return f"put {result.put} kept {result.kept}" + ("" if options.ttl else f" deleted {result.deleted}")


def shown(store: NoSQLStore, table: str) -> Any:
    """Return all that a table shows."""
    if table not in store.tables():
        return None
    rows = [row for batch in store.scan(table) for row in batch.to_pylist()]
    return rows, store.schema(table), store.key(table), store.source_commit(table)


@pytest.fixture
def stores(dynamodb: Any, tmp_path: Path) -> Iterator[tuple[NoSQLStore, NoSQLStore]]:
    """An empty store of each kind."""
    opened = LMDBStore(tmp_path / "store"), DynamoDBStore(**dynamodb.options())
    yield opened
    for store in opened:
        store.close()


FIRST = ("overwrite", "set")
"""These are tried with each other one at every run of the tests."""


@pytest.mark.parametrize(
    "first", [pytest.param(one, marks=[] if one in FIRST else pytest.mark.soak) for one in CHOICES]
)
def test_two_options_do_the_same_on_both_stores_or_are_refused_alike(
    stores: tuple[NoSQLStore, NoSQLStore], first: str
) -> None:
    for number, other in enumerate(CHOICES):
        pair = tuple(dict.fromkeys((first, other)))
        given = merged(pair)
        # Onto a plain table, and twice from the beginning.
        for table, steps in (
            (f"plain{number}", [(ROWS, merged(())), (LATER, given)]),
            (f"own{number}", [(ROWS, given), (LATER, given)]),
        ):
            for rows, arguments in steps:
                before = shown(stores[0], table)
                came = [write(store, table, rows, arguments) for store in stores]
                assert came[0] == came[1], (pair, table)
                after = [shown(store, table) for store in stores]
                assert after[0] == after[1], (pair, table, came[0])
                if not came[0].startswith("put"):
                    assert ": " in came[0], came
                    assert "\n" not in came[0], came
                    assert after[0] == before, (pair, table, came[0])


def test_a_partition_that_is_not_the_tables_is_refused_where_the_key_is_the_tables(
    stores: tuple[NoSQLStore, NoSQLStore],
) -> None:
    for store in stores:
        assert write(store, "t", ROWS, merged(("partition",))).startswith("put 3")
        assert write(store, "t", LATER, merged(("partition",)) | {"key": []}).startswith("put 3")
        other = merged(()) | {"key": [], "options": {"partition": ["text"]}}
        told = write(store, "t", LATER, other)
        assert told == "SchemaMismatch:  has the key ('day', 'k'), but the partition is ('text',)"
