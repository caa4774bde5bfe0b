"""The Spark DataSource `lake_nosql`. What Spark calls is called here, without a JVM; one test is of Spark itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyspark.sql.datasource import CaseInsensitiveDict
from pyspark.sql.pandas.types import from_arrow_schema

from lake_assets.nosql.contract import NoSQLError, NoSQLStore
from lake_assets.nosql.frames import spark_frame
from lake_assets.nosql.lmdb.store import LMDBStore
from lake_assets.nosql.opening import open_store
from lake_assets.nosql.spark_source import TableSource

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

BARS = pa.table({"k": [f"key {at}" for at in range(30)], "n": list(range(30)), "x": [at / 4 for at in range(30)]})

Write = Callable[..., None]


@pytest.fixture(params=["dynamodb", "lmdb"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The options that name a store."""
    if request.param == "lmdb":
        return {"store": f"lmdb://{tmp_path / 'store'}", "table": "t"}
    server = request.getfixturevalue("dynamodb")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    prefix = server.options()["prefix"]
    return {"store": f"dynamodb://{prefix}", "endpoint": server.endpoint, "region": "us-east-1", "table": "t"}


@pytest.fixture
def store(place: dict[str, str]) -> Iterator[NoSQLStore]:
    """The store itself."""
    opened = open_store(place["store"], endpoint=place.get("endpoint"), region=place.get("region"))
    yield opened
    opened.close()


def source(options: dict[str, str]) -> TableSource:
    return TableSource(CaseInsensitiveDict(options))  # pyright: ignore[reportArgumentType]


def write(options: dict[str, str], rows: pa.Table, *, overwrite: bool = False, tasks: int = 3) -> None:
    """Do what Spark does with a frame of several partitions."""
    writer = source(options).writer(from_arrow_schema(rows.schema), overwrite)
    size = max(1, -(-rows.num_rows // tasks))
    writer.commit([writer.write(iter(batch)) for batch in _parts(rows, size)])


def _parts(rows: pa.Table, size: int) -> list[list[pa.RecordBatch]]:
    return [rows.slice(at, size).to_batches() for at in range(0, rows.num_rows, size)] or [[]]


def read(options: dict[str, str]) -> list[list[dict[str, Any]]]:
    """Return the rows of each partition."""
    found = source(options)
    reader = found.reader(found.schema())
    return [
        [row for batch in reader.read(part) for row in batch.to_pylist()]  # pyright: ignore[reportAttributeAccessIssue]
        for part in reader.partitions()
    ]


def test_a_frame_is_written_by_partitions_and_read_by_segments(place: dict[str, str], store: NoSQLStore) -> None:
    keyed = {**place, "key": "k", "sort_key": "n"}
    write(keyed, BARS)
    assert (store.key("t"), store.row_count("t")) == (("k", "n"), 30)
    parts = read({**place, "segments": "3"})
    assert len(parts) == 3
    rows = [row for part in parts for row in part]
    assert sorted(rows, key=lambda row: row["n"]) == BARS.to_pylist()
    (few,) = read({**place, "segments": "1", "WHERE": "n < 3", "columns": "x,n"})
    assert sorted(row["n"] for row in few) == [0, 1, 2]
    assert [*few[0]] == ["x", "n"]
    assert read({**place, "segments": "1", "begins_with": '["key 7"]'}) == [[BARS.to_pylist()[7]]]
    write(keyed, BARS.slice(0, 2), overwrite=True)
    write(keyed, BARS.slice(0, 0))
    assert store.row_count("t") == 2
    # One transaction, or one write of each worker.
    assert {one.kind for one in store.history("t")} == {"write"}


def test_the_options_of_a_write_are_those_of_the_store(place: dict[str, str], store: NoSQLStore) -> None:
    counted = {**place, "key": "k", "counter": "n", "batch": "1", "set": '{"x": "greatest(old.x, new.x)"}'}
    for _ in range(2):
        write(counted, BARS)
    assert store.get("t", "key 29") == {"k": "key 29", "n": 29, "x": 7.25}
    write({**place, "key": "k", "mode": "create_only"}, BARS.set_column(1, "n", pa.array([0] * 30)))
    write({**place, "key": "k", "condition": "new.n > old.n"}, BARS.set_column(1, "n", pa.array([20] * 30)))
    assert sorted(row["n"] for batch in store.scan("t") for row in batch.to_pylist())[20:] == [20, *range(21, 30)]
    write({**place, "table": "numbered"}, BARS.select(["x"]))
    assert store.key("numbered") == ("id",)


def test_the_batches_of_a_stream_count_once(place: dict[str, str], store: NoSQLStore) -> None:
    options = {**place, "key": "k", "counter": "n", "batch": "stream"}
    rows = BARS.select(["k", "n"])
    for batch in (0, 1, 1):
        writer: Any = source(options).streamWriter(from_arrow_schema(rows.schema), False)
        writer.commit([writer.write(iter(rows.to_batches()))], batch)
    assert store.get("t", "key 9") == {"k": "key 9", "n": 18}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "give the options store"),
        ({"store": "lmdb://x"}, "give the options store"),
        ({"store": "lmdb://x", "table": "t", "nothing": "1"}, "no option 'nothing'"),
        ({"store": "lmdb://x", "table": "t", "segments": "many"}, "segments is 'many', not a whole number"),
        ({"store": "lmdb://x", "table": "t", "segments": "0"}, "segments is 0"),
    ],
)
def test_options_that_are_none_are_named(options: dict[str, str], words: str) -> None:
    with pytest.raises(NoSQLError, match=words):
        source(options).reader(from_arrow_schema(BARS.schema))


def test_an_aborted_write_leaves_nothing(tmp_path: Path) -> None:
    options = {"store": f"lmdb://{tmp_path / 'store'}", "table": "t", "key": "k"}
    writer = source(options).writer(from_arrow_schema(BARS.schema), False)
    message = writer.write(iter(BARS.to_batches()))
    assert list((tmp_path / "store").rglob("*.arrow"))
    writer.abort([message])
    assert not list((tmp_path / "store").rglob("*.arrow"))
    with pytest.raises(NoSQLError, match="share no folder with the driver"):
        writer.commit([message])


def test_spark_writes_and_reads_a_table(spark: SparkSession, tmp_path: Path) -> None:
    address = f"lmdb://{tmp_path / 'store'}"
    spark.dataSource.register(TableSource)
    frame = spark.range(20, numPartitions=2).selectExpr(
        "concat('key ', id) as k", "timestamp_micros(id * 1000001) as seen", "cast(id / 4 as decimal(20,4)) as p"
    )
    frame.write.format("lake_nosql").options(store=address, table="t", key="k").mode("append").save()
    store = LMDBStore(tmp_path / "store")
    assert (store.row_count("t"), len(store.history("t"))) == (20, 1)
    store.close()
    read = spark_frame(spark, address, "t", segments=2, where="p < 1")
    assert read.rdd.getNumPartitions() == 2
    assert sorted(map(tuple, read.collect())) == sorted(map(tuple, frame.where("p < 1").collect()))
