"""A batch count, with Spark's RDD API, of the lines that the stream has counted."""

from __future__ import annotations

from operator import add
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark import RDD
    from pyspark.sql import DataFrame


def pairs(lines: DataFrame) -> RDD[tuple[str, int]]:
    """Return each word of each line, paired with 1."""
    from pyspark.sql import functions as sf

    texts = lines.select(sf.make_valid_utf8(sf.col("value").cast("string"))).where(sf.col("value").isNotNull())
    return texts.rdd.flatMap(lambda row: row[0].split(" ")).filter(bool).map(lambda word: (word, 1))


def by_reducing(lines: DataFrame) -> RDD[tuple[str, int]]:
    """Count words with `reduceByKey`: each partition adds up its words, and one row per word is shuffled."""
    return pairs(lines).reduceByKey(add)


def by_grouping(lines: DataFrame) -> RDD[tuple[str, int]]:
    """Count words with `groupByKey`: every occurrence is shuffled, and all those of a word are in memory at once."""
    return pairs(lines).groupByKey().mapValues(sum)


def differences(lines: DataFrame, counts: DataFrame, limit: int = 20) -> tuple[int, list[tuple[str, int, int]]]:
    """Count lines again, and compare the result with stored counts.

    Parameters
    ----------
    lines
        The lines.
    counts
        The stored counts.
    limit
        Maximal number of examples.

    Returns
    -------
    tuple
        Number of words that differ, and examples: word, stored count, new count.
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
