"""The queries over lines of text: word counts over all time, and by windows of event time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lake_assets.defs.words.settings import WordsSettings
from lake_assets.streaming.microbatches import LATEST, TOO_LONG

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

NAME = "word_counts 1"
"""Name of the query :func:`word_counts` in its checkpoint. A new version needs a new name."""

_NAMED = 20
"""The number of files with a line that is too long that are named."""

COUNTS = {"word": "VARCHAR", "count": "BIGINT"}
WINDOWED = {"window_start": "TIMESTAMPTZ", "window_end": "TIMESTAMPTZ", **COUNTS}


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of event time: their length, the distance of their starts, and how late lines may be, in seconds."""

    length: int
    slide: int
    delay: int

    @classmethod
    def from_settings(cls) -> Windows:
        """Return the windows of WORDS_WINDOW, WORDS_SLIDE and WORDS_WATERMARK.

        Raises
        ------
        SettingError
            A setting is not a number, or out of range.
        """
        settings = WordsSettings.read()
        return cls(settings.window, settings.slide or settings.window, settings.watermark)

    @property
    def query(self) -> str:
        """Name of the query :func:`word_counts_windowed` with these windows in its checkpoint."""
        return f"word_counts_windowed 1: window {self.length} s, slide {self.slide} s, watermark {self.delay} s"


def word_counts(lines: DataFrame) -> DataFrame:
    """Return the count of every word. ``lines`` has the columns ``value``, null for a tombstone, and ``too_long``."""
    # Observed columns are not pruned. Without this select, the unused time of each line would be parsed.
    return _counted(words(_observed(lines.select("value", "too_long")), "value")).groupBy("word").count()


def word_counts_windowed(lines: DataFrame, watermark: int | None, windows: Windows) -> DataFrame:
    """Return the count of every word in every window of event time.

    Parameters
    ----------
    lines
        The columns ``value``, ``text``, ``too_long`` and ``timestamp``, which is null for a line without a time.
    watermark
        The watermark (ms since 1970) of the lines that were read before.
    windows
        The windows.

    Notes
    -----
    Late lines are dropped here and not by Spark. Spark counts dropped rows after a partial aggregation, so it would
    count groups and not lines. Spark drops no further lines, since its own watermark is never ahead of this one.
    """
    from pyspark.sql import functions as sf

    step = windows.slide * 1000
    newest_end = sf.floor(sf.unix_millis("timestamp") / step) * step + windows.length * 1000
    late = newest_end <= sf.lit(watermark) if watermark is not None else sf.lit(False)
    observed = _observed(
        lines,
        sf.count_if(sf.col("timestamp").isNull() & sf.col("too_long").isNull()).alias("undated_lines"),
        sf.count_if(late).alias("late_lines"),
        sf.max(sf.unix_millis("timestamp")).alias(LATEST),
    )
    dated = observed.where(sf.col("timestamp").isNotNull()).withWatermark("timestamp", f"{windows.delay} seconds")
    spans = sf.window("timestamp", f"{windows.length} seconds", f"{windows.slide} seconds").alias("window")
    past = sf.unix_millis("window.end") <= sf.lit(watermark) if watermark is not None else sf.lit(False)
    placed = words(dated, "text").select(spans, "word")
    seen = placed.observe("spans", sf.count_if(past).alias("late_words"), sf.count_if(~past).alias("words"))
    counts = seen.where(~past).groupBy("window", "word").count()
    return counts.select(
        sf.col("window.start").alias("window_start"), sf.col("window.end").alias("window_end"), "word", "count"
    )


def words(lines: DataFrame, column: str) -> DataFrame:
    """Split a column at single spaces, and return a row for each word that is not empty.

    Bytes that are not UTF-8 become U+FFFD, since readers of the counts could not read them.
    """
    from pyspark.sql import functions as sf

    text = sf.make_valid_utf8(sf.col(column).cast("string"))
    kept = [name for name in lines.columns if name == "timestamp"]
    return lines.select(*kept, sf.explode(sf.split(text, " ")).alias("word")).where("word != ''")


def _observed(lines: DataFrame, *more: Column) -> DataFrame:
    """Observe the numbers of lines, of those without a value, not UTF-8, or too long, and where the last are."""
    from pyspark.sql import functions as sf

    return lines.observe(
        "lines",
        sf.count(sf.lit(1)).alias("lines"),
        sf.count_if(sf.col("value").isNull() & sf.col("too_long").isNull()).alias("null_values"),
        sf.count_if(~sf.is_valid_utf8(sf.col("value").cast("string"))).alias("invalid_utf8"),
        sf.count("too_long").alias("too_long_lines"),
        sf.slice(sf.array_sort(sf.collect_set("too_long")), 1, _NAMED).alias(TOO_LONG),
        *more,
    )


def _counted(rows: DataFrame) -> DataFrame:
    from pyspark.sql import functions as sf

    return rows.observe("words", sf.count(sf.lit(1)).alias("words"))
