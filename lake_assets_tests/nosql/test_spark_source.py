"""The Spark DataSource `lake_nosql`. What Spark calls is called here, without a JVM; one test is of Spark itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyspark.sql.datasource import CaseInsensitiveDict
from pyspark.sql.pandas.types import from_arrow_schema

from lake_assets.nosql.contract import NoSQLError, NoSQLStore
from lake_assets.nosql.frames import spark_frame
from lake_assets.nosql.opening import open_store
from lake_assets.nosql.spark_source import TableSource
from lake_assets.nosql.staging import Staging
from lake_assets_tests.conftest import REPOSITORY_ROOT

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
    if "spark" in request.fixturenames:
        # What Spark's Python workers see. A cluster's see their own machines' AWS chain.
        seen = request.getfixturevalue("spark").sparkContext.environment
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setitem(seen, name, "testing")
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
    # Spaces between names are none of theirs.
    write({**place, "table": "spaced", "key": "k , n"}, BARS)
    assert store.key("spaced") == ("k", "n")
    write({**place, "table": "numbered"}, BARS.select(["x"]))
    assert store.key("numbered") == ("id",)


@pytest.mark.parametrize("more", [{}, {"counter": "n", "batch": "1"}], ids=["plain", "counter"])
def test_a_task_that_fails_after_its_first_batch_and_is_tried_again_counts_once(
    place: dict[str, str], store: NoSQLStore, more: dict[str, str]
) -> None:
    options, rows = {**place, "key": "k", **more}, BARS.select(["k", "n"])
    for _ in range(2):  # The job is run again, too.
        writer = source(options).writer(from_arrow_schema(rows.schema), False)

        def failing() -> Iterator[pa.RecordBatch]:
            yield rows.to_batches(10)[0]
            raise RuntimeError("the task ends here")

        with pytest.raises(RuntimeError, match="ends here"):
            writer.write(failing())
        writer.commit([writer.write(iter(rows.to_batches(10)))])
        assert [row for batch in store.scan("t") for row in batch.to_pylist()] == rows.sort_by("k").to_pylist()


def test_the_batches_of_a_stream_count_once(place: dict[str, str], store: NoSQLStore) -> None:
    options = {**place, "key": "k", "counter": "n", "batch": "stream"}
    rows = BARS.select(["k", "n"])
    for batch in (0, 1, 1):
        # Spark hands these to the sink.
        given = {**options, "checkpointLocation": "anywhere", "queryName": "visits"}
        writer: Any = source(given).streamWriter(from_arrow_schema(rows.schema), False)
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


def test_spark_writes_and_reads_a_table(spark: SparkSession, place: dict[str, str], store: NoSQLStore) -> None:
    spark.dataSource.register(TableSource)
    frame = spark.range(20, numPartitions=2).selectExpr(
        "concat('key ', id) as k",
        "id as n",
        "timestamp_micros(id * 1000001) as seen",
        "cast(id / 4 as decimal(20,4)) as p",
    )
    keyed = {**place, "key": "k", "sort_key": "n"}
    frame.write.format("lake_nosql").options(**keyed).mode("append").save()
    assert (store.key("t"), store.row_count("t")) == (("k", "n"), 20)
    where = {name: value for name, value in place.items() if name not in ("store", "table")}
    read = spark_frame(spark, place["store"], "t", **where, segments=2, where="p < 1", columns="n,p")
    assert (read.rdd.getNumPartitions(), read.columns) == (2, ["n", "p"])
    assert sorted(map(tuple, read.collect())) == sorted(map(tuple, frame.where("p < 1").select("n", "p").collect()))
    frame.limit(3).write.format("lake_nosql").options(**keyed).mode("overwrite").save()
    assert store.row_count("t") == 3


def test_rows_that_workers_handed_in_outlive_the_writes_of_others(place: dict[str, str], store: NoSQLStore) -> None:
    rows = pa.table({"k": ["a"]})
    staging = Staging(place["store"])
    file = staging.add(iter(rows.to_batches()))
    assert file is not None
    store.write("t", rows, key=["k"])
    with staging.rows([file], rows.slice(0, 0)) as handed_in:
        assert handed_in.equals(rows)


def test_a_task_and_a_batch_that_are_run_again_count_once(
    spark: SparkSession, place: dict[str, str], store: NoSQLStore, tmp_path: Path
) -> None:
    spark.dataSource.register(TableSource)
    counted = {**place, "key": "k", "counter": "n", "batch": "visits"}

    def dies_once(rows: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from rows
        first = tmp_path / "died"
        if not first.exists():
            first.touch()
            raise RuntimeError("the first attempt of a task ends here")

    visits = spark.sql("SELECT * FROM VALUES ('a', 1L), ('b', 2L) AS visits(k, n)").repartition(2)
    again = visits.mapInArrow(dies_once, visits.schema)
    with pytest.raises(Exception, match="the first attempt"):  # A local session does not try a task again.
        again.write.format("lake_nosql").options(**counted).mode("append").save()
    for _ in range(2):
        again.write.format("lake_nosql").options(**counted).mode("append").save()
    assert sorted((row["k"], row["n"]) for batch in store.scan("t") for row in batch.to_pylist()) == [
        ("a", 1),
        ("b", 2),
    ]

    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "one.json").write_text('{"k": "a", "n": 10}\n')
    stream = spark.readStream.schema("k string, n long").json(str(tmp_path / "in"))
    writing = stream.writeStream.format("lake_nosql").options(**{**counted, "batch": "stream"})
    commits = tmp_path / "checkpoint" / "commits"
    for _ in range(2):
        query = writing.option("checkpointLocation", str(commits.parent)).trigger(availableNow=True).start()
        query.awaitTermination()
        # As if the process had died between the write and the note that it was done.
        (commits / "0").unlink()
        (commits / ".0.crc").unlink(missing_ok=True)
    assert store.get("t", "a") == {"k": "a", "n": 11}


def test_the_page_for_those_who_know_the_spark_connector_of_iguazio_runs(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(
        r"^```py\n(.*?)^```", (REPOSITORY_ROOT / "docs" / "from-v3io.md").read_text(), re.MULTILINE | re.DOTALL
    )
    exec(compile(block.replace("lmdb://tables", f"lmdb://{tmp_path}"), "from-v3io.md", "exec"), {"spark": spark})
