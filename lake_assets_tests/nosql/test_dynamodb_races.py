"""Writes on DynamoDB that depend on what is stored, while others write the same items."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import count
from typing import Any

import pyarrow as pa
import pytest

from lake_assets.nosql.contract import NoSQLError, Options, SaveMode, WriteResult
from lake_assets.nosql.dynamodb.store import DynamoDBStore
from lake_assets_tests.nosql.writers import DEADLINE, race, started

LATER = Options(condition="new.Time > old.Time")


@pytest.fixture
def store(dynamodb: Any) -> Iterator[DynamoDBStore]:
    """An empty store."""
    opened = DynamoDBStore(**dynamodb.options())
    yield opened
    opened.close()


def items(time: int, keys: str = "abc") -> pa.Table:
    return pa.table({"k": list(keys), "Time": [time] * len(keys), "by": ["us"] * len(keys)})


def rows(store: DynamoDBStore) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for batch in store.scan("t") for row in batch.to_pylist()]


def meanwhile(store: DynamoDBStore, operation: str, work: Callable[[], None]) -> None:
    """Do something once, when the store has the answer to an operation."""
    left = [work]
    store._client.api.meta.events.register(  # pyright: ignore[reportPrivateUsage]
        f"after-call.dynamodb.{operation}", lambda **_: left.pop()() if left else None
    )


@pytest.mark.soak
def test_writers_with_a_condition_leave_the_latest_of_each_item(dynamodb: Any) -> None:
    place = dynamodb.options()
    writers = [started(race, place, number, 3) for number in range(2)]
    for writer in writers:
        writer.join(DEADLINE)
        assert writer.exitcode == 0
    store = DynamoDBStore(**place)
    assert {row[1] for row in rows(store)} == {3 * 2 - 1}
    store.close()


@pytest.mark.parametrize(
    ("mode", "newest_by", "options", "left"),
    [
        ("append", [], LATER, [("a", 3, "them"), ("b", 2, "us"), ("c", 2, "us"), ("d", 2, "us")]),
        ("append", ["Time"], Options(), [("a", 3, "them"), ("b", 2, "us"), ("c", 2, "us"), ("d", 2, "us")]),
        ("create_only", [], Options(), [("a", 3, "them"), ("b", 1, "us"), ("c", 1, "us"), ("d", 3, "them")]),
        (
            "append",
            [],
            Options(update="columns"),
            [("a", 2, "them"), ("b", 2, "us"), ("c", 2, "us"), ("d", 2, "them")],
        ),
    ],
    ids=["condition", "newest", "create only", "columns"],
)
def test_what_another_client_wrote_since_the_read_is_read_again(
    store: DynamoDBStore, mode: SaveMode, newest_by: list[str], options: Options, left: list[tuple[Any, ...]]
) -> None:
    store.write("t", items(1), key=["k"])
    api, name = store._client.api, store._name("t")  # pyright: ignore[reportPrivateUsage]
    theirs = "ad" if left[3][2] == "them" else "a"

    def write() -> None:
        for key in theirs:
            api.put_item(TableName=name, Item={"k": {"S": key}, "Time": {"N": "3"}, "by": {"S": "them"}})

    meanwhile(store, "BatchGetItem", write)
    came = items(2, "abcd")
    came = came.select(["k", "Time"]) if options.update == "columns" else came
    result = store.write("t", came, key=["k"], mode=mode, newest_by=newest_by, options=options)
    assert rows(store) == left
    ours = sum(time == 2 for _, time, _ in left)
    assert (result.put, result.kept) == (ours, 4 - ours)


def test_a_writer_that_was_held_up_longer_than_its_lease_writes_nothing_over_a_later_item(dynamodb: Any) -> None:
    options = dynamodb.options(lease_seconds=0.5)
    late, other = DynamoDBStore(**options), DynamoDBStore(**options)
    other.write("t", items(1), key=["k"])
    name = other._name("t")  # pyright: ignore[reportPrivateUsage]
    held, go_on = threading.Event(), threading.Event()

    def hold(request: Any, **_: Any) -> None:
        target = str(request.headers["X-Amz-Target"])
        if name in str(request.body) and ("PutItem" in target or "BatchWriteItem" in target) and not held.is_set():
            held.set()
            assert go_on.wait(DEADLINE)

    late._client.api.meta.events.register("before-send.dynamodb", hold)  # pyright: ignore[reportPrivateUsage]
    ends: list[WriteResult | NoSQLError] = []

    def write() -> None:
        try:
            ends.append(late.write("t", items(2), key=["k"], options=LATER))
        except NoSQLError as error:
            ends.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    assert held.wait(DEADLINE)
    # As where it gave no sign of life either, and the other one took it over.
    other._catalog._api.update_item(  # pyright: ignore[reportPrivateUsage]
        TableName=other._catalog.name,  # pyright: ignore[reportPrivateUsage]
        Key={"kind": {"S": "lease"}, "name": {"S": "t"}},
        UpdateExpression="SET #owner = :nobody",
        ExpressionAttributeNames={"#owner": "owner"},
        ExpressionAttributeValues={":nobody": {"S": "nobody"}},
    )
    other.write("t", items(3), key=["k"], options=LATER)
    go_on.set()
    writer.join(DEADLINE)
    assert isinstance(ends[0], NoSQLError)
    assert {time for _, time, _ in rows(other)} == {3}
    late.close()
    other.close()


def test_an_answer_that_is_lost_does_not_count_an_item_as_kept(store: DynamoDBStore) -> None:
    store.write("t", items(1), key=["k"])
    api = store._client.api  # pyright: ignore[reportPrivateUsage]
    send = api.put_item

    def twice(**arguments: Any) -> Any:
        send(**arguments)
        return send(**arguments)

    api.put_item = twice
    result = store.write("t", items(2), key=["k"], options=LATER)
    assert (result.put, result.kept) == (3, 0)


@pytest.mark.parametrize(
    "values",
    [pa.array([1.0]), pa.array([Decimal("1.50")], pa.decimal128(9, 2)), pa.array([[1.0]]), pa.array([{"a": 1.0}])],
    ids=["float", "decimal", "list", "struct"],
)
def test_an_answer_that_is_lost_sets_no_expression_twice(store: DynamoDBStore, values: pa.Array) -> None:
    came = pa.table({"k": ["a"], "n": [1], "other": values})
    store.write("t", came, key=["k"])
    api = store._client.api  # pyright: ignore[reportPrivateUsage]
    send, left = api.put_item, [1]

    def twice(**arguments: Any) -> Any:
        if left:
            send(**arguments)
            left.pop()
        return send(**arguments)

    api.put_item = twice
    store.write("t", came, key=["k"], options=Options(set={"n": "old.n + new.n"}))
    assert store.get("t", "a") == {"k": "a", "n": 2, "other": values[0].as_py()}


@pytest.mark.parametrize(
    "work",
    [
        lambda store: store.write("t", items(2, "b"), options=Options(set={"Time": "old.Time + 1"})),
        lambda store: store.write("t", items(2, "ab"), options=Options(counter=["Time"], batch="1")),
        lambda store: store.delete("t", where="k >= 'b'"),
    ],
    ids=["expression", "counter", "delete"],
)
def test_a_write_that_others_overtake_each_time_ends_and_names_the_item(
    store: DynamoDBStore, dynamodb: Any, work: Callable[[DynamoDBStore], Any]
) -> None:
    store.write("t", items(1), key=["k"])
    api, name = store._client.api, store._name("t")  # pyright: ignore[reportPrivateUsage]
    other = DynamoDBStore(**dynamodb.options())
    times = count(100)

    def overtake(**_: Any) -> None:
        other._client.api.put_item(  # pyright: ignore[reportPrivateUsage]
            TableName=name, Item={"k": {"S": "b"}, "Time": {"N": str(next(times))}, "by": {"S": "them"}}
        )

    for operation in ("PutItem", "DeleteItem", "TransactWriteItems"):
        api.meta.events.register(f"before-send.dynamodb.{operation}", overtake)
    with pytest.raises(NoSQLError, match="'t': the item with key 'b' was read 50 times, and each time others wrote"):
        work(store)
    other.close()


def test_a_deletion_by_filter_leaves_what_no_longer_fulfils_it(store: DynamoDBStore) -> None:
    # Of one partition key, so that all are read at once.
    store.write("t", items(1, "abcd").append_column("all", pa.array(["x"] * 4)), key=["all", "k"])
    api, name = store._client.api, store._name("t")  # pyright: ignore[reportPrivateUsage]

    def write() -> None:
        for key, time in (("a", "9"), ("b", "1")):
            theirs = {"all": {"S": "x"}, "k": {"S": key}, "Time": {"N": time}, "by": {"S": "them"}}
            api.put_item(TableName=name, Item=theirs)
        api.delete_item(TableName=name, Key={"all": {"S": "x"}, "k": {"S": "c"}})

    meanwhile(store, "Query", write)
    store.delete("t", where="\"all\" = 'x' AND Time = 1")
    assert rows(store) == [("x", "a", 9, "them")]


def test_what_another_client_added_to_a_counter_since_the_read_is_kept(store: DynamoDBStore) -> None:
    store.write("t", items(1), key=["k"])
    api, name = store._client.api, store._name("t")  # pyright: ignore[reportPrivateUsage]
    add = {
        "UpdateExpression": "ADD #n :more",
        "ExpressionAttributeNames": {"#n": "Time"},
        "ExpressionAttributeValues": {":more": {"N": "100"}},
    }
    meanwhile(store, "BatchGetItem", lambda: api.update_item(TableName=name, Key={"k": {"S": "b"}}, **add))
    for _ in range(2):
        store.write("t", items(10), key=["k"], options=Options(counter=["Time"], batch="1"))
    assert [time for _, time, _ in rows(store)] == [11, 111, 11]
