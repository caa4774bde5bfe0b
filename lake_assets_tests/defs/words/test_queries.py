"""The queries give the same rows, whether Spark interprets them or compiles code for them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from lake_assets.defs.words.queries import Windows, word_counts, word_counts_windowed
from lake_assets.spark.session import generate_no_code

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

MARK = 120_000
"""The watermark: two minutes after the beginning of 1970."""

LINES = [
    (b"one two  one", 150, None),
    (b"\xff\xfe one", 200, None),
    ("Köln ".encode(), 60, None),
    (b"of a line before 1970", -1, None),
    (b"without a time", None, None),
    (None, 130, None),
    (None, None, "/a/long/one"),
    (None, None, "/a/long/one"),
    (b"", 130, None),
]
"""Value, seconds since 1970, and the file of a line that is too long."""


def lines(session: SparkSession) -> DataFrame:
    rows = [
        (value, None if at is None else datetime.fromtimestamp(at, timezone.utc), value, named)
        for value, at, named in LINES
    ]
    return session.createDataFrame(rows, "value BINARY, timestamp TIMESTAMP, text BINARY, too_long STRING")


QUERIES: dict[str, Callable[[DataFrame], DataFrame]] = {
    "all time": word_counts,
    "windows": lambda frame: word_counts_windowed(frame, None, Windows(60, 30, 0)),
    "windows after a watermark": lambda frame: word_counts_windowed(frame, MARK, Windows(60, 30, 0)),
}


def rows_of(session: SparkSession, query: Callable[[DataFrame], DataFrame]) -> list[tuple[Any, ...]]:
    return sorted(map(tuple, query(lines(session)).collect()))


@pytest.mark.parametrize("query", QUERIES)
def test_few_lines_are_counted_as_many_are(spark: SparkSession, query: str) -> None:
    compiled, interpreted = spark.newSession(), spark.newSession()
    for name, value in {"wholeStage": "true", "factoryMode": "CODEGEN_ONLY"}.items():
        compiled.conf.set(f"spark.sql.codegen.{name}", value)
    generate_no_code(interpreted)
    rows = rows_of(compiled, QUERIES[query])
    assert rows == rows_of(interpreted, QUERIES[query])
    assert rows


def test_words_are_those_of_the_values_that_are_text(spark: SparkSession) -> None:
    counts = dict(rows_of(spark, word_counts))
    assert counts == {
        **dict.fromkeys(["two", "Köln", "of", "line", "before", "1970", "without", "time", "\ufffd\ufffd"], 1),
        "one": 3,
        "a": 2,
    }


def test_only_windows_that_end_after_the_watermark_are_counted(spark: SparkSession) -> None:
    found = rows_of(spark, QUERIES["windows after a watermark"])
    ends = {end.timestamp() for _, end, _, _ in found}
    assert ends == {180, 210, 240}
    assert {word: count for _, end, word, count in found if end == max(row[1] for row in found)} == {
        "one": 1,
        "\ufffd\ufffd": 1,
    }
