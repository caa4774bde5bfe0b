"""Spark, pandas, PyArrow and DuckDB write to the embedded lake and read from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest

from lake_assets.lake.embedded import GitLake
from lake_assets_tests.lake.backends import paths

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROWS = [("2017-07-28", "08:00", 1.5), ("2017-07-28", "09:00", 2.5), ("2017-07-29", "08:00", 3.5)]


@pytest.fixture
def lake(tmp_path: Path) -> GitLake:
    lake = GitLake(tmp_path / "a lake, ü")
    lake.create_branch("work", "main")
    return lake


def test_what_spark_writes_every_engine_reads(lake: GitLake, spark: SparkSession) -> None:
    frame = spark.createDataFrame(ROWS, "day string, hour string, price double")
    with lake.write("work", "stocks/parquet") as write:
        frame.write.mode("append").partitionBy("day", "hour").parquet(write.uri)
    assert all(path.endswith(".parquet") for path in paths(lake, "work"))
    assert {path.rsplit("/", 1)[0] for path in paths(lake, "work")} == {
        f"stocks/parquet/day={day}/hour={hour.replace(':', '%3A')}" for day, hour, _ in ROWS
    }

    # The next overwrite by Spark replaces one partition, and what was opened before stays readable.
    snapshot = lake.path("work", "stocks/parquet")
    with lake.write("work", "stocks/parquet", partitions=["day=2017-07-29"]) as write:
        changed = spark.createDataFrame([("2017-07-29", "08:00", 9.5)], frame.schema)
        changed.write.mode("overwrite").partitionBy("day", "hour").parquet(write.uri)
    prices = sorted(row.price for row in spark.read.parquet(snapshot.uri).collect())
    assert prices == [1.5, 2.5, 3.5]

    snapshot = lake.path("work", "stocks/parquet")
    read = spark.read.parquet(snapshot.uri)
    assert sorted((str(row.day), row.hour, row.price) for row in read.collect())[-1] == (
        "2017-07-29",
        "08:00",
        9.5,
    )
    assert sorted(pd.read_parquet(snapshot.root, filesystem=snapshot.filesystem)["price"]) == [1.5, 2.5, 9.5]
    assert set(pq.read_table(snapshot.root, filesystem=snapshot.filesystem).column_names) == {
        "price",
        "day",
        "hour",
    }
    for place in (snapshot.uri, snapshot.root):
        query = "select sum(price), count(distinct hour) from read_parquet(?, hive_partitioning=true)"
        assert duckdb.execute(query, [f"{place}/**/*.parquet"]).fetchall() == [(13.5, 2)]

    one = lake.path("work", paths(lake, "work", "stocks/parquet/day=2017-07-29")[0])
    assert [row.price for row in spark.read.parquet(one.uri).collect()] == [9.5]
    assert duckdb.execute("select price from read_parquet(?)", [one.uri]).fetchall() == [(9.5,)]


def test_pandas_and_pyarrow_write_too(lake: GitLake) -> None:
    frame = pd.DataFrame(ROWS, columns=pd.Index(["day", "hour", "price"]))
    with lake.write("work", "by-pandas") as write:
        frame.to_parquet(f"{write.root}/part-0.parquet", filesystem=write.filesystem)
    with lake.write("work", "by-arrow") as write:
        frame.to_csv(f"{write.root}/part-0.csv", index=False)
    snapshot = lake.path("work", "by-pandas")
    pd.testing.assert_frame_equal(pd.read_parquet(snapshot.root, filesystem=snapshot.filesystem), frame)
    assert duckdb.execute(
        "select count(*) from read_csv(?)", [lake.path("work", "by-arrow").uri + "/*.csv"]
    ).fetchall() == [(3,)]
