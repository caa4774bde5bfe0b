"""Spark frames in the LMDB store: encoded by the workers, and the same as pandas frames in every byte."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import lmdb
import pytest

from lake_assets.nosql import encoding
from lake_assets.nosql.contract import SchemaMismatch
from lake_assets.nosql.lmdb.store import LMDBStore

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def stocks(spark: SparkSession, rows: int = 1000) -> DataFrame:
    """Rows of every type, in no order, some values null."""
    return spark.range(rows, numPartitions=3).selectExpr(
        "sha2(cast(id as string), 224) as ISIN",
        "if(id % 7 = 0, null, '08:00') as Time",
        "date_add(date'2017-07-28', cast(id % 9 as int)) as Day",
        "cast(id as int) as SecurityID",
        "if(id % 5 = 0, null, id / 3.0D) as Price",
        "id % 2 = 0 as flag",
        "cast(id % 100 as tinyint) as tiny",
        "cast(-id as smallint) as small",
        "id as big",
        "cast(id / 8 as float) as ratio",
        "timestamp_micros(id * 1000001) as at",
        "cast(timestamp_micros(-id) as timestamp_ntz) as local",
        "cast(id / 4 as decimal(20,4)) as money",
        "cast(cast(id as string) as binary) as raw",
        "array('a', null, cast(id as string)) as list",
        "named_struct('a', cast(id as int), 'b', date'2020-01-01') as struct",
    )


def stored_bytes(folder: Path, table: str) -> list[tuple[bytes, bytes]]:
    with lmdb.open(str(folder), readonly=True, max_dbs=10) as environment:
        items = environment.open_db(f"table:{table}".encode(), create=False)
        with environment.begin(db=items) as transaction:
            return list(transaction.cursor())


def rows(store: LMDBStore, table: str) -> list[dict[str, Any]]:
    return [row for batch in store.scan(table) for row in batch.to_pylist()]


def test_spark_and_pandas_frames_of_equal_rows_are_stored_in_equal_bytes(spark: SparkSession, tmp_path: Path) -> None:
    import pandas as pd

    frame = stocks(spark)
    store = LMDBStore(tmp_path)
    assert store.write("spark", frame, key=["ISIN"], source_commit="c1").row_count == 1000
    as_arrow = frame.toArrow()
    store.write("pandas", as_arrow.to_pandas(types_mapper=pd.ArrowDtype), key=["ISIN"])
    assert store.schema("spark") == store.schema("pandas")
    assert rows(store, "spark") == sorted(as_arrow.to_pylist(), key=lambda row: row["ISIN"])
    store.close()
    spark_bytes = stored_bytes(tmp_path, "spark")
    assert len(spark_bytes) == 1000
    assert spark_bytes == stored_bytes(tmp_path, "pandas")
    assert list((tmp_path / "spool").iterdir()) == []


def test_items_come_to_the_driver_where_workers_do_not_see_its_disk(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = LMDBStore(tmp_path)
    store.write("near", stocks(spark), key=["ISIN"])
    write = encoding._writer
    monkeypatch.setattr(
        encoding, "_writer", lambda schema, key, folder, names: write(schema, key, folder / "elsewhere", names)
    )
    assert store.write("far", stocks(spark), key=["ISIN"]).row_count == 1000
    assert "not all of Spark's workers see the store's folder" in caplog.text
    with pytest.raises(SchemaMismatch, match=r"'ISIN' contains an empty string \(row 1 of Spark's partition \d\)"):
        store.write("far", stocks(spark).selectExpr("'' as ISIN", *stocks(spark).columns[1:]), key=["ISIN"])
    store.close()
    assert stored_bytes(tmp_path, "far") == stored_bytes(tmp_path, "near")
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_spark_frame_upserts_by_newest_and_deletes_first(spark: SparkSession, tmp_path: Path) -> None:
    store = LMDBStore(tmp_path)
    first = spark.createDataFrame(
        [("a", "08:00", 1.0), ("b", "09:00", 1.0), ("c", "08:00", 1.0)], "k string, t string, x double"
    )
    second = spark.createDataFrame(
        [(2.0, "a", "09:00"), (3.0, "a", "08:30"), (2.0, "b", "08:00")], "x double, k string, t string"
    )
    store.write("t", first, key=["k"], newest_by=["t"])
    gone = spark.sql("select 'c' as k")
    result = store.write("t", second, key=["k"], newest_by=["t"], delete=gone)
    assert (result.put, result.deleted, result.kept, result.row_count) == (1, 1, 1, 2)
    assert rows(store, "t") == [{"k": "a", "t": "09:00", "x": 2.0}, {"k": "b", "t": "09:00", "x": 1.0}]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("select cast(null as string) as k, 1.0D as x", r"'k' contains a null \(row 1 of Spark's partition 0\)"),
        ("select '' as k, 1.0D as x", "'k' contains an empty string"),
        ("select 'a' as k, 1 as x", "'x' is stored as double, the frame has int32"),
        ("select explode(array('a', 'a')) as k, 1.0D as x", "'a' more than once"),
        ("select 'a' as k, interval 1 month as x", "'x' has type interval"),
    ],
)
def test_a_spark_frame_that_does_not_fit_is_refused_and_the_table_stays(
    spark: SparkSession, tmp_path: Path, query: str, words: str
) -> None:
    store = LMDBStore(tmp_path)
    store.write("t", spark.sql("select 'a' as k, 7.0D as x"), key=["k"])
    with pytest.raises(SchemaMismatch, match=words):
        store.write("t", spark.sql(query), key=["k"])
    assert rows(store, "t") == [{"k": "a", "x": 7.0}]


def test_a_frame_that_fails_on_the_way_leaves_the_table_and_no_runs(spark: SparkSession, tmp_path: Path) -> None:
    from pyspark.errors import PySparkException

    store = LMDBStore(tmp_path)
    frame = spark.range(100, numPartitions=4).selectExpr("id as k", "1 / (id - 99) as x")
    with pytest.raises(PySparkException, match="DIVIDE_BY_ZERO"):
        store.write("t", frame, key=["k"])
    assert store.tables() == ()
    assert list((tmp_path / "spool").iterdir()) == []
    empty = frame.where("k < 0")
    assert store.write("t", empty, key=["k"]).row_count == 0
