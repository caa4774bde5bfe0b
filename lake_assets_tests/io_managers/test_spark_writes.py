"""Frames of Spark and of pandas on Spark: workers write and read their files, and the driver sees next to nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyspark.pandas
import pyspark.sql
import pytest
from dagster import AssetIn, AssetsDefinition, asset
from pyarrow.fs import LocalFileSystem

from lake_assets.content.version import ContentDigest
from lake_assets.frames.spark_writing import SparkParts
from lake_assets_tests.io_managers.conftest import Workbench
from lake_assets_tests.io_managers.test_formats import BOTH, BOTH_EMPTY, DAYS, reader, stored, version
from lake_assets_tests.io_managers.typed_values import spark_frame

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FORMATS = ("parquet", "orc", "csv")
ROWS = 40_000
MOST = 200_000
"""The bytes that a job may return to the driver: the metrics of its tasks, and a thirtieth of the rows."""

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def small_results(spark: SparkSession) -> Iterator[SparkSession]:
    """A session whose jobs fail if their results are larger than ``MOST``, whoever fetches them, and how."""
    from lake_assets.spark.pandas_api import activate

    context: Any = spark._jsc.sc()  # type: ignore[attr-defined]
    context.conf().set("spark.driver.maxResultSize", str(MOST))
    try:
        yield activate(spark)
    finally:
        context.conf().remove("spark.driver.maxResultSize")
        activate(spark)


def large(session: SparkSession) -> Any:
    return session.range(ROWS, numPartitions=2).selectExpr("id", "sha2(string(id), 512) AS `a.text`")


def handed_on(name: str, source: str, annotation: type, file_format: str) -> AssetsDefinition:
    """Return an asset that is stored as its input was read."""

    def through(frame: Any) -> Any:
        assert isinstance(frame, annotation)
        return frame

    through.__annotations__["frame"] = annotation
    metadata = {"format": file_format}
    return asset(name=name, ins={"frame": AssetIn(source)}, io_manager_key="parquet_io_manager", metadata=metadata)(
        through
    )


@pytest.mark.parametrize("fetch", [lambda frame: frame.toArrow(), lambda frame: list(frame.toLocalIterator())])
def test_the_bound_of_these_tests_holds(small_results: SparkSession, fetch: Any) -> None:
    with pytest.raises(Exception, match="maxResultSize"):
        fetch(large(small_results))


@pytest.mark.parametrize("file_format", FORMATS)
def test_no_rows_pass_the_driver_on_their_way_to_files_and_back(
    workbench: Workbench, small_results: SparkSession, file_format: str
) -> None:
    result = workbench.run(
        stored(large(small_results), file_format, "first"),
        handed_on("second", "first", pyspark.pandas.DataFrame, file_format),
        handed_on("third", "second", pyspark.sql.DataFrame, file_format),
    )
    texts = [hashlib.sha512(str(number).encode()).hexdigest() for number in range(ROWS)]
    rows = pa.record_batch({"id": pa.array(range(ROWS), pa.int64()), "a.text": texts})
    digest = ContentDigest(rows.schema)
    digest.update(rows)
    assert [version(result, name) for name in ("first", "second", "third")] == [digest.version()] * 3
    paths = [item.path for item in workbench.lake.list(workbench.branch(result), "first")]
    assert [path for path in paths if not path.endswith("_manifest.json")] == [
        f"first/part-{at:05d}.{file_format}" for at in range(2)
    ]


@pytest.mark.parametrize("file_format", ["orc", "csv"])
def test_partitions_of_one_frame_are_what_arrow_makes_of_them(
    workbench: Workbench, spark: SparkSession, file_format: str
) -> None:
    rows = pa.table({**BOTH_EMPTY, "partition": ["mon"] * 6})
    frame = spark_frame(spark, rows).repartition(3)
    seen: list[pa.Table] = []
    graph = stored(frame, file_format, partitions_def=DAYS), reader("pyarrow.Table", seen, partitions_def=DAYS)
    workbench.run(*graph, tags=BOTH)
    assert seen[0].sort_by("n").to_pydict() == rows.sort_by("n").to_pydict()
    wrong = pa.table({**BOTH_EMPTY, "partition": ["mon", "tue", "wed"] * 2})
    with pytest.raises(Exception, match="2 of 6 rows belong to none of the partitions"):
        workbench.run(stored(spark_frame(spark, wrong), file_format, partitions_def=DAYS), tags=BOTH)


@pytest.mark.parametrize(
    ("file_format", "value", "reason"),
    [
        ("orc", datetime(9999, 1, 1), "after 2262-04-11, which readers of ORC do not hold"),
        ("orc", [datetime(1, 1, 1)], "before 1677-09-21"),
        ("orc", None, "has the type null, which ORC cannot hold"),
        ("csv", [1], "is nested, which CSV cannot hold: use the format parquet"),
        ("csv", b"a", "is binary, which CSV cannot hold: use the format parquet"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_by_column(
    workbench: Workbench, spark: SparkSession, file_format: str, value: Any, reason: str
) -> None:
    frame = spark_frame(spark, pa.table({"n": [1, 2], "c": [value, None]}))
    with pytest.raises(Exception, match=rf"column 'c' .*{reason}"):
        workbench.run(stored(frame, file_format))


@pytest.mark.parametrize("file_format", ["orc", "csv"])
def test_a_day_after_the_year_9999_is_refused_by_column(
    workbench: Workbench, spark: SparkSession, file_format: str
) -> None:
    frame = spark.sql("SELECT date_add(date'9999-12-31', 1) AS c")
    with pytest.raises(Exception, match=r"column 'c' has a time before the year 1 or after 9999"):
        workbench.run(stored(frame, file_format))


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("rows", [3, 0])
def test_files_of_other_attempts_are_removed_and_no_rows_are_a_file(
    tmp_path: Path, spark: SparkSession, file_format: str, rows: int
) -> None:
    (tmp_path / f"part-00000-other.{file_format}").write_bytes(b"another attempt's")
    parts = SparkParts(spark.range(3, numPartitions=1).where(f"id < {rows}"), None, file_format)
    contents = parts.write(LocalFileSystem(), {"": str(tmp_path)})
    assert contents[""].rows == rows
    assert [path.name for path in tmp_path.iterdir()] == [f"part-00000.{file_format}"]
    assert [part.name for part in parts.parts[""]] == [f"part-00000.{file_format}"]


@pytest.mark.parametrize("key", ["refused", "misplaced", "parts"])
def test_a_partition_may_have_any_name(tmp_path: Path, spark: SparkSession, key: str) -> None:
    parts = SparkParts(spark.range(3, numPartitions=1), {key: {"partition": key}}, "parquet")
    assert parts.write(LocalFileSystem(), {key: str(tmp_path)})[key].rows == 3


@pytest.mark.usefixtures("spark")
@pytest.mark.parametrize("manager", ["parquet_io_manager", "lake_file_io_manager"])
def test_every_character_of_a_csv_file_is_in_spark_what_it_is_elsewhere(workbench: Workbench, manager: str) -> None:
    odd = [chr(code) for code in range(0x100)] + ["\u2028", "\ufeff", "\uffff"]
    pairs = [first + second for first in '\0"\\#,\r\n ' for second in '\0"\\#,\r\n ']
    rows = pa.table({"number": range(len(odd + pairs)), 'a "quoted",\nname': odd + pairs})

    @asset(io_manager_key=manager, metadata={"format": "csv"})
    def first() -> Any:
        return rows

    result = workbench.run(first, handed_on("second", "first", pyspark.sql.DataFrame, "parquet"))
    digest = ContentDigest(rows.schema)
    for batch in rows.to_batches():
        digest.update(batch)
    assert version(result, "second") == digest.version()
