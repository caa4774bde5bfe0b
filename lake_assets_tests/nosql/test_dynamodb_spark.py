"""Spark frames in DynamoDB: the workers write them, and what is there is what a pandas frame leaves."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from lake_assets.nosql.contract import NoSQLError, Options, SchemaMismatch
from lake_assets.nosql.dynamodb.attempts import Attempt
from lake_assets.nosql.dynamodb.client import Client
from lake_assets.nosql.dynamodb.store import DynamoDBStore
from lake_assets.nosql.dynamodb.workers import Part
from lake_assets_tests.dynamodb_server import DynamoDBServer

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def options(dynamodb: DynamoDBServer) -> dict[str, Any]:
    return dynamodb.options(lease_seconds=5.0)


@pytest.fixture
def store(options: dict[str, Any]) -> Iterator[DynamoDBStore]:
    opened = DynamoDBStore(**options)
    yield opened
    for table in opened.tables():
        opened.drop(table)
    opened.close()


def rows(store: DynamoDBStore, table: str) -> list[dict[str, Any]]:
    return [row for batch in store.scan(table) for row in batch.to_pylist()]


def bars(spark: SparkSession, first: int = 0, last: int = 300, price: str = "id / 2.0D") -> DataFrame:
    """Rows of several types, in several partitions, some values null."""
    return spark.range(first, last, numPartitions=3).selectExpr(
        "concat('i', id % 40) as isin",
        "id as minute",
        f"{price} as price",
        "if(id % 7 = 0, null, cast(id / 4 as decimal(12,2))) as money",
        "array('a', null, cast(id as string)) as list",
        "timestamp_micros(4102444800000000 + id * 1000001) as until",
    )


WRITES: dict[str, Callable[[SparkSession], list[tuple[DataFrame, dict[str, Any]]]]] = {
    "append": lambda spark: [(bars(spark), {}), (bars(spark, 200, 400, "1D"), {})],
    "newest": lambda spark: [
        (bars(spark), {"newest_by": ["price"]}),
        (bars(spark, 0, 400, "100D").unionAll(bars(spark, 5, 6, "200D")), {"newest_by": ["price"]}),
    ],
    "create only": lambda spark: [(bars(spark), {}), (bars(spark, 200, 400, "1D"), {"mode": "create_only"})],
    "condition": lambda spark: [
        (bars(spark), {}),
        (bars(spark, 0, 400, "100D"), {"options": Options(condition="new.price > old.price")}),
    ],
    "columns": lambda spark: [
        (bars(spark), {}),
        (bars(spark, 0, 400, "7D").select("minute", "isin", "price"), {"options": Options(update="columns")}),
    ],
    "overwrite": lambda spark: [(bars(spark), {}), (bars(spark, 290, 400), {"mode": "overwrite"})],
    "overwrite with other columns": lambda spark: [
        (bars(spark), {}),
        (bars(spark, 290, 400).drop("list"), {"mode": "overwrite"}),
    ],
    "counter": lambda spark: [
        (bars(spark, 0, 50), {"options": Options(counter=["price"], batch="one")}),
        (bars(spark, 0, 60), {"options": Options(counter=["price"], batch="two")}),
        (bars(spark, 0, 60), {"options": Options(counter=["price"], batch="two")}),
    ],
    "spread and time to live": lambda spark: [(bars(spark), {"options": Options(spread=3, ttl="until")})],
    "nothing": lambda spark: [(bars(spark), {}), (bars(spark, 0, 0), {}), (bars(spark, 0, 0), {"mode": "overwrite"})],
}


@pytest.mark.parametrize(
    "kind", [one if one == "newest" else pytest.param(one, marks=pytest.mark.soak) for one in WRITES]
)
def test_items_and_counts_are_those_of_an_arrow_table(spark: SparkSession, store: DynamoDBStore, kind: str) -> None:
    for frame, given in WRITES[kind](spark):
        results = [
            store.write(table, items, key=["isin", "minute"], **given)
            for table, items in (("spark", frame), ("arrow", frame.toArrow()))
        ]
        assert results[0] == results[1]
    assert rows(store, "spark") == rows(store, "arrow")
    assert store.row_count("spark") == len(rows(store, "arrow"))


@pytest.mark.parametrize(
    ("query", "words"),
    [
        pytest.param(
            "select cast(null as string) as k, 1.0D as x",
            r"table 't': .*'k' contains a null \(row 1 of Spark's partition 0\)",
            marks=pytest.mark.soak,
        ),
        pytest.param("select '' as k, 1.0D as x", "'k' contains an empty string", marks=pytest.mark.soak),
        ("select explode(array('a', 'b', 'a')) as k, 1.0D as x", "'a' more than once"),
        pytest.param(
            "select 'b' as k, 1.0D as x, repeat('a', 420000) as more", "key 'b' has .* bytes", marks=pytest.mark.soak
        ),
    ],
)
def test_what_is_refused_is_refused_before_anything_is_written(
    spark: SparkSession, store: DynamoDBStore, query: str, words: str
) -> None:
    store.write("t", spark.sql("select 'a' as k, 7.0D as x, 'm' as more"), key=["k"], source_commit="c1")
    frame = spark.sql(query)
    frame = frame if "more" in frame.columns else frame.selectExpr("*", "'m' as more")
    with pytest.raises(SchemaMismatch, match=words):
        store.write("t", frame, key=["k"], source_commit="c2")
    assert rows(store, "t") == [{"k": "a", "x": 7.0, "more": "m"}]
    assert store.source_commit("t") == "c1"


def test_an_attempt_that_comes_again_leaves_the_same_items_and_the_right_number(
    spark: SparkSession, store: DynamoDBStore, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write("t", bars(spark, 0, 100), key=["isin", "minute"])
    mark, write = tmp_path / "mark", Part.write

    def twice(part: Part, batches: Any) -> Iterator[pa.RecordBatch]:
        # A first attempt has written all, and has died before it could say so.
        kept = list(batches)
        if not mark.exists():
            mark.touch()
            list(write(part, iter(kept)))
        yield from write(part, iter(kept))

    monkeypatch.setattr(Part, "write", twice)
    result = store.write("t", bars(spark, 50, 200, "5D"), key=["isin", "minute"])
    assert mark.exists()
    assert (result.put, result.row_count) == (150, 200)
    assert store.row_count("t") == len(rows(store, "t")) == 200
    mark.unlink()
    result = store.write("t", bars(spark, 150, 250), key=["isin", "minute"], mode="overwrite")
    assert (result.put, result.deleted, result.row_count) == (100, 200, 100)
    assert len(rows(store, "t")) == 100


def test_an_attempt_writes_nothing_after_its_job_has_ended(options: dict[str, Any], store: DynamoDBStore) -> None:
    table = pa.table({"k": ["a"], "x": [1]})
    store.write("t", table, key=["k"])
    catalog, worker = store._catalog, Client(store._client.handed_over(1))
    name, item = store._name("t"), {"k": {"S": "a"}, "x": {"N": "2"}}
    with catalog.writing("t") as lease, closing(worker):
        lease.hand_out("job")
        attempt = Attempt(worker, catalog.name, "t", owner=lease.owner, job="job", name="one", seconds=0.0)
        worker.guard(attempt.check)
        with attempt.running(catalog):
            attempt.check()
            lease.hand_out("")
            with pytest.raises(NoSQLError, match="has ended"):
                attempt.check()
            # Nor does a request that is sent again, after it was checked.
            with pytest.raises(NoSQLError, match="has ended"):
                worker.write(name, [{"PutRequest": {"Item": item}}], lambda: None)
            with pytest.raises(NoSQLError, match="has ended"):
                worker.put_if(name, item, {}, lambda: None)
        states = {entry["name"]["S"]: entry["state"] for entry in catalog.items("attempts of t")}
        assert states["one"] == {"S": "ended"}
        assert store.get("t", "a") == {"k": "a", "x": 1}
        with pytest.raises(NoSQLError, match="has ended"), attempt.running(catalog):
            pass


def test_an_attempt_writes_nothing_after_its_driver_has_died(store: DynamoDBStore) -> None:
    store.write("t", pa.table({"k": ["a"], "x": [1]}), key=["k"])
    with store._catalog.writing("t") as lease:
        lease.hand_out("job")
        # Signs of life come later than this attempt expects them: a dead driver gives none.
        attempt = Attempt(
            store._client, store._catalog.name, "t", owner=lease.owner, job="job", name="one", seconds=0.2
        )
        with attempt.running(store._catalog), pytest.raises(NoSQLError, match="its driver is dead"):
            deque(iter(attempt.check, "never"))


def test_credentials_are_in_no_text_of_what_workers_are_given(options: dict[str, Any]) -> None:
    given = {**options, "access_key_id": "AKIAEXAMPLE", "secret_access_key": "of nobody"}
    store = DynamoDBStore(**given)
    access = store._client.handed_over(4)
    assert (access.access_key_id, access.secret_access_key) == ("AKIAEXAMPLE", "of nobody")
    assert isinstance(Client(access), Client)
    assert not any(secret in repr(access) for secret in ("AKIAEXAMPLE", "of nobody"))
