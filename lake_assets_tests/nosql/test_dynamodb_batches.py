"""Batches of counters on DynamoDB: whatever the size of their items, they add once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lake_assets.nosql.contract import Options
from lake_assets.nosql.dynamodb.store import DynamoDBStore

LARGE = 400_000


@pytest.fixture
def store(dynamodb: Any) -> Iterator[DynamoDBStore]:
    """An empty store."""
    opened = DynamoDBStore(**dynamodb.options())
    yield opened
    opened.close()


def counts(sizes: list[int]) -> pa.Table:
    """Return increments by one, of items of these sizes."""
    keys = [f"key {at:03}" for at in range(len(sizes))]
    return pa.table({"k": keys, "n": [1] * len(sizes), "text": ["x" * size for size in sizes]})


def add(store: DynamoDBStore, items: pa.Table, batch: str, table: str = "t") -> None:
    options = Options(update="columns", counter=["n"], batch=batch)
    store.write(table, items, key=["k"], options=options)


def values(store: DynamoDBStore, table: str = "t") -> list[int]:
    return [n for batch in store.scan(table) for n in batch.column("n").to_pylist()]


@pytest.mark.parametrize("examples", [3, pytest.param(30, marks=pytest.mark.soak)])
def test_items_of_any_size_are_counted_once(store: DynamoDBStore, examples: int) -> None:
    names = itertools.count()

    @settings(max_examples=examples)
    @given(st.lists(st.sampled_from([0, 100, 40_000, 45_000, LARGE]), min_size=1, max_size=110))
    @example([45_000] * 98)
    def check(sizes: list[int]) -> None:
        table = f"t{next(names)}"
        for batch in ("1", "2", "1"):
            add(store, counts(sizes), batch, table)
        assert values(store, table) == [2] * len(sizes)
        store.drop(table)

    check()


class Killed(BaseException):
    """The end of a process."""


def ending(store: DynamoDBStore, at: int, *, done: bool) -> None:
    """Let a transaction be the last one, before or after the server did it."""
    api = store._client.api  # pyright: ignore[reportPrivateUsage]
    send, numbers = api.transact_write_items, itertools.count()

    def last(**arguments: Any) -> Any:
        number = next(numbers)
        if number > at or (number == at and not done):
            raise Killed
        answer = send(**arguments)
        if number == at:
            raise Killed
        return answer

    api.transact_write_items = last


@pytest.mark.soak
@pytest.mark.parametrize("done", [False, True])
def test_a_batch_of_large_stored_items_that_ends_anywhere_is_counted_once_when_it_is_written_again(
    dynamodb: Any, done: bool
) -> None:
    options = dynamodb.options(lease_seconds=1.0)
    store = DynamoDBStore(**options)
    stored = counts([LARGE] * 11)
    store.write("t", stored, key=["k"])
    added = stored.select(["k", "n"])
    at = 0
    for at in itertools.count():
        writer = DynamoDBStore(**options)
        ending(writer, at, done=done)
        try:
            add(writer, added, str(at))
        except Killed:
            add(store, added, str(at))
        else:
            break
        finally:
            writer.close()
        assert values(store) == [at + 2] * len(stored)
    # The begin of the write, the mark that its only part is halved, the halves, and the end.
    assert at >= 5
    assert values(store) == [at + 2] * len(stored)
    assert store.row_count("t") == len(stored)
    store.close()
