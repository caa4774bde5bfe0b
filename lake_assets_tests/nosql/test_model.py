"""One model of a table, and every store: any sequence of operations ends in the same items, counts and log."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.nosql.contract import NoSQLStore, Options, WriteResult

Key = tuple[str, int]
Row = dict[str, Any]
SCHEMA = pa.schema([("name", pa.string()), ("size", pa.int64()), ("value", pa.int64()), ("text", pa.string())])
"""DynamoDB reserves three of these words."""

CONDITIONS: dict[str, Callable[[Row, Row], bool | None]] = {
    "new.value > old.value": lambda new, old: _both(new["value"], old["value"], lambda a, b: a > b),
    "old.value IS NULL OR new.text = 'it''s'": lambda new, old: old["value"] is None or new["text"] == "it's",
    "NOT new.value = 1 AND old.size <> 0": lambda new, old: (
        new["value"] is not None and new["value"] != 1 and old["size"] != 0
    ),
}
FILTERS: dict[str, Callable[[Row], bool | None]] = {
    "value >= 2": lambda row: row["value"] is not None and row["value"] >= 2,
    "name = 'b'": lambda row: row["name"] == "b",
    "name = 'a\x00' AND size < 1": lambda row: row["name"] == "a\x00" and row["size"] < 1,
    "text = 'it''s' OR text IS NULL": lambda row: row["text"] in ("it's", None),
}

rows = st.dictionaries(
    st.tuples(st.sampled_from(["a", "a\x00", "b", "ü"]), st.sampled_from([-1, 0, 2])),
    st.tuples(st.none() | st.integers(-3, 3), st.sampled_from(["", "it's", "\U0010ffff", None])),
    max_size=5,
)
writes = st.fixed_dictionaries(
    {
        "rows": rows,
        "mode": st.sampled_from(["append", "append", "append", "overwrite", "create_only", "ignore"]),
        "partial": st.booleans(),
        "counter": st.booleans(),
        "batch": st.integers(0, 3),
        "condition": st.none() | st.sampled_from(sorted(CONDITIONS)),
    }
)
operations = st.lists(writes | st.sampled_from(sorted(FILTERS)) | rows.map(list), min_size=1, max_size=6)


def _both(left: Any, right: Any, compare: Callable[[Any, Any], bool]) -> bool | None:
    return None if left is None or right is None else compare(left, right)


@dataclass
class Model:
    """What a table is."""

    items: dict[Key, Row] | None = None
    batches: set[str] = field(default_factory=set)
    log: list[tuple[str, int, int, int, int]] = field(default_factory=list)

    def write(self, given: dict[str, Any], options: Options) -> WriteResult:
        if self.items is not None and given["mode"] == "ignore":
            return WriteResult(0, 0, 0, len(self.items))
        if options.batch in self.batches:
            return WriteResult(0, 0, 0, len(self.items or ()))
        if options.batch is not None:
            self.batches.add(options.batch)
        old = self.items or {}
        stored = {} if given["mode"] == "overwrite" else dict(old)
        put = 0
        for (name, size), (value, text) in given["rows"].items():
            before = stored.get((name, size))
            new = {"name": name, "size": size, "value": value, "text": text}
            if options.update == "columns":
                new = {**new, "text": before["text"] if before else None}
            if before is not None:
                if given["mode"] == "create_only":
                    continue
                if options.condition and not CONDITIONS[options.condition](new, before):
                    continue
                if options.counter:
                    there = [one for one in (before["value"], value) if one is not None]
                    new["value"] = sum(there) if there else None
            stored[name, size] = new
            put += 1
        deleted = len(old) if given["mode"] == "overwrite" else 0
        self.items = stored
        result = WriteResult(put, deleted, len(given["rows"]) - put, len(stored))
        self.log.append(("write", put, deleted, result.kept, len(stored)))
        return result

    def delete(self, gone: set[Key]) -> int:
        assert self.items is not None
        found = gone & {*self.items}
        for key in found:
            del self.items[key]
        self.log.append(("delete", 0, len(found), 0, len(self.items)))
        return len(found)


def apply(store: NoSQLStore, table: str, model: Model, operation: Any) -> None:
    """Do the same with a store and with the model, and compare what they say of it."""
    if isinstance(operation, dict):
        given = operation
        counter = ["value"] if given["counter"] else []
        options = Options(
            update="columns" if given["partial"] else "replace",
            counter=counter,
            batch=str(given["batch"]) if counter else None,
            condition=given["condition"],
        )
        names = SCHEMA.names[: 3 if given["partial"] and model.items is not None else 4]
        if names == SCHEMA.names and given["partial"]:
            options = Options(counter=counter, batch=options.batch, condition=given["condition"])
        if given["mode"] == "overwrite" and len(names) < 4:
            return
        pairs = given["rows"].items()
        frame = pa.Table.from_pylist(
            [dict(zip(SCHEMA.names, (*key, *values), strict=True)) for key, values in pairs], SCHEMA
        )
        result = store.write(table, frame.select(names), key=["name", "size"], mode=given["mode"], options=options)
        assert result == model.write(given, options), operation
    elif model.items is not None:
        if isinstance(operation, str):
            gone = {key for key, row in model.items.items() if FILTERS[operation](row)}
            assert store.delete(table, where=operation) == model.delete(gone), operation
        else:
            assert store.delete(table, operation) == model.delete(set(operation)), operation


@pytest.mark.parametrize("examples", [8, pytest.param(100, marks=pytest.mark.soak)])
def test_any_sequence_of_operations_is_what_the_model_says(store: NoSQLStore, examples: int) -> None:
    names = itertools.count()

    @settings(max_examples=examples)
    @given(operations=operations)
    def check(operations: list[Any]) -> None:
        model, table = Model(), f"t{next(names)}"
        for operation in operations:
            apply(store, table, model, operation)
        if model.items is None:
            return
        wanted = [model.items[key] for key in sorted(model.items)]
        assert [row for batch in store.scan(table) for row in batch.to_pylist()] == wanted
        assert store.row_count(table) == len(wanted)
        found = [(one.kind, one.put, one.deleted, one.kept, one.row_count) for one in store.history(table)]
        assert found[::-1] == model.log
        for where, holds in FILTERS.items():
            rows = [row for batch in store.scan(table, where=where) for row in batch.to_pylist()]
            assert rows == [row for row in wanted if holds(row)], where
        parts = [store.scan(table, segment=(at, 3)) for at in range(3)]
        assert sum(batch.num_rows for part in parts for batch in part) == len(wanted)
        store.drop(table)

    check()
