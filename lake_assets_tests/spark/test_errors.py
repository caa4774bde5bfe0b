"""An error of Spark's is one line with cause and remedy, its trace the cause below it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from lake_assets.cli import errors
from lake_assets.spark.errors import EngineError, describe, spark_errors

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


FRAMES = "\n".join(f"\tat org.apache.hadoop.fs.s3a.S3AUtils.translateException(S3AUtils.java:{n})" for n in range(90))
REFUSED = f"""An error occurred while calling o53.parquet.
: java.nio.file.AccessDeniedException: s3a://lake/main/stocks: getFileStatus on s3a://lake/main/stocks: \
software.amazon.awssdk.services.s3.model.S3Exception: null (Service: S3, Status Code: 403, Request ID: 7):403
{FRAMES}
Caused by: software.amazon.awssdk.services.s3.model.S3Exception: null (Service: S3, Status Code: 403, Request ID: 7)
{FRAMES}
\t... 21 more
"""
FULL = f"""Job aborted due to stage failure: Lost task 0.0
{FRAMES}
Caused by: java.io.IOException: No space left on device
{FRAMES}
"""
NO_CONNECTOR = f"""An error occurred while calling o9.load.
: java.lang.ClassNotFoundException: Class org.apache.hadoop.fs.s3a.S3AFileSystem not found
{FRAMES}"""
NO_PATH = f"""[PATH_NOT_FOUND] Path does not exist: file:/nowhere.

JVM stacktrace:
org.apache.spark.sql.AnalysisException: [PATH_NOT_FOUND] Path does not exist: file:/nowhere.
{FRAMES}"""
TRACES = {
    REFUSED: "Spark: AccessDeniedException: s3a://lake/main/stocks: .*; the store denied access: check .*credentials.*",
    FULL: "Spark: IOException: No space left on device; free some space .*",
    NO_CONNECTOR: "Spark: ClassNotFoundException: .*; a connector .*",
    NO_PATH: "Spark: AnalysisException: .*file:/nowhere.",
}


@pytest.mark.parametrize("trace", TRACES, ids=range(len(TRACES)))
def test_of_a_trace_the_cause_and_the_remedy_are_told(trace: str) -> None:
    line = describe(trace)
    assert "\n" not in line
    assert len(line) < 700
    assert re.fullmatch(TRACES[trace], line), line


def test_what_no_engine_raised_is_as_it_was() -> None:
    with pytest.raises(KeyError, match="x"), spark_errors():
        raise KeyError("x")


def test_an_error_of_spark_is_one_line_whichever_kind_it_is(spark: SparkSession) -> None:
    def reciprocal(number: int) -> float:
        return 1 / number

    rows = spark.range(3).rdd.map(lambda row: reciprocal(row[0]))
    for action, told in (
        (rows.collect, "Spark: ZeroDivisionError: "),
        (spark.sql("select raise_error('row 3') from range(3)").collect, "Spark: .*row 3"),
        (lambda: spark.read.parquet("file:///nowhere/at/all"), "Spark: .*nowhere/at/all"),
        (lambda: spark.read.parquet("nothing://bucket/x"), "Spark: .*nothing"),
    ):
        with pytest.raises(EngineError, match=told) as caught, spark_errors():
            action()
        assert "\n" not in str(caught.value)
        assert caught.value.__cause__ is not None
        assert errors.describe(caught.value.__cause__) == str(caught.value)  # type: ignore[arg-type]


def test_a_package_that_a_worker_lacks_is_named_with_the_worker() -> None:
    trace = "Traceback (most recent call last):\n  File \"worker.py\"\nModuleNotFoundError: No module named 'a.b'\n"
    lost = "Lost task 0.3 in stage 0.0 (TID 3) (10.0.0.7 executor 1): org.apache.spark.api.python.PythonException"
    remedy = "has no Python package 'a': install it there for the Python of spark.pyspark.python"
    assert describe(trace, f"{lost}\n{trace}") == f"Spark: the worker 10.0.0.7 {remedy}"
    assert describe(trace) == f"Spark: a worker {remedy}"
