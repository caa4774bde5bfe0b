"""The batch answer to what the stream counts: all lines up to a position, counted anew by Spark's RDD API."""

from __future__ import annotations

from operator import add
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark import RDD
    from pyspark.sql import DataFrame


def pairs(lines: DataFrame) -> RDD[tuple[str, int]]:
    """Return each word of each line with a one."""
    from pyspark.sql import functions as sf

    texts = lines.select(sf.make_valid_utf8(sf.col("value").cast("string"))).where(sf.col("value").isNotNull())
    return texts.rdd.flatMap(lambda row: row[0].split(" ")).filter(bool).map(lambda word: (word, 1))


def by_reducing(lines: DataFrame) -> RDD[tuple[str, int]]:
    """Count words with `reduceByKey`: each partition adds up its own, and what is shuffled is a row per word."""
    return pairs(lines).reduceByKey(add)


def by_grouping(lines: DataFrame) -> RDD[tuple[str, int]]:
    """Count words with `groupByKey`: every single one is shuffled, and a word's are held in memory at once."""
    return pairs(lines).groupByKey().mapValues(sum)


def differences(lines: DataFrame, counts: DataFrame, limit: int = 20) -> tuple[int, list[tuple[str, int, int]]]:
    """Recount lines, and compare with counts that were kept.

    Returns
    -------
    tuple
        Number of words that differ, and some of them: word, as kept, as recounted.
    """
    from pyspark.sql import functions as sf

    session = lines.sparkSession
    recounted = session.createDataFrame(by_reducing(lines), "word STRING, recount BIGINT")
    both = counts.join(recounted, "word", "full_outer").select(
        "word", sf.coalesce("count", sf.lit(0)).alias("kept"), sf.coalesce("recount", sf.lit(0)).alias("recounted")
    )
    wrong = both.where("kept != recounted").cache()
    try:
        found = [(row["word"], row["kept"], row["recounted"]) for row in wrong.orderBy("word").limit(limit).collect()]
        return wrong.count(), found
    finally:
        wrong.unpersist()
