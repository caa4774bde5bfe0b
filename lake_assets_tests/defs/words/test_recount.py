"""The batch answer, by both ways of the RDD API."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.words_rdd import shuffled
from lake_assets.defs.words.recount import by_grouping, by_reducing
from lake_assets_tests.defs.words.stream import LINES, counted

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_grouping_and_reducing_give_the_same_counts_and_reducing_shuffles_less(
    spark: SparkSession, tmp_path: Path
) -> None:
    # More ones of a word than the grouping's compression makes nothing of.
    lines = [*LINES, "kafka", "", "  "] * 2000
    (tmp_path / "lines.txt").write_text("\n".join(lines) + "\n")
    frame = spark.read.text(str(tmp_path))
    bytes_shuffled: list[int] = []
    for count in (by_grouping, by_reducing):
        before = shuffled(spark)
        assert dict(count(frame).collect()) == counted(lines)
        bytes_shuffled.append(shuffled(spark) - before)
    grouped, reduced = bytes_shuffled
    assert reduced < grouped
