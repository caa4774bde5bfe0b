"""The queries over lines of text: word counts over all time, and by windows of event time.

Expressions are SQL, since a text is one call of the JVM, and each function of pyspark's is ten to twenty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lake_assets.defs.words.settings import WordsSettings
from lake_assets.streaming.microbatches import LATEST, TOO_LONG

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

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
    counted = words(_observed(lines.select("value", "too_long")), "value")
    return _observe(counted, "words", "count(1) AS words").groupBy("word").count()


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
    step = windows.slide * 1000
    newest_end = f"floor(unix_millis(timestamp) / {step}) * {step} + {windows.length * 1000}"
    late = f"{newest_end} <= {watermark}" if watermark is not None else "false"
    observed = _observed(
        lines,
        "count_if(timestamp IS NULL AND too_long IS NULL) AS undated_lines",
        f"count_if({late}) AS late_lines",
        f"max(unix_millis(timestamp)) AS {LATEST}",
    )
    dated = observed.where("timestamp IS NOT NULL").withWatermark("timestamp", f"{windows.delay} seconds")
    spans = f"window(timestamp, '{windows.length} seconds', '{windows.slide} seconds') AS window"
    past = f"unix_millis(window.end) <= {watermark}" if watermark is not None else "false"
    placed = words(dated, "text").selectExpr(spans, "word")
    seen = _observe(placed, "spans", f"count_if({past}) AS late_words", f"count_if(NOT ({past})) AS words")
    counts = seen.where(f"NOT ({past})").groupBy("window", "word").count()
    return counts.selectExpr("window.start AS window_start", "window.end AS window_end", "word", "count")


def words(lines: DataFrame, column: str) -> DataFrame:
    """Split a column at single spaces, and return a row for each word that is not empty.

    Bytes that are not UTF-8 become U+FFFD, since readers of the counts could not read them.
    """
    kept = [name for name in lines.columns if name == "timestamp"]
    word = f"explode(split(make_valid_utf8(CAST({column} AS STRING)), ' ')) AS word"
    return lines.selectExpr(*kept, word).where("word != ''")


def _observed(lines: DataFrame, *more: str) -> DataFrame:
    """Observe the numbers of lines, of those without a value, not UTF-8, or too long, and where the last are."""
    return _observe(
        lines,
        "lines",
        "count(1) AS lines",
        "count_if(value IS NULL AND too_long IS NULL) AS null_values",
        "count_if(NOT is_valid_utf8(CAST(value AS STRING))) AS invalid_utf8",
        "count(too_long) AS too_long_lines",
        f"slice(array_sort(collect_set(too_long)), 1, {_NAMED}) AS {TOO_LONG}",
        *more,
    )


def _observe(rows: DataFrame, name: str, *metrics: str) -> DataFrame:
    """Observe metrics, which are SQL."""
    from pyspark.sql import functions as sf

    return rows.observe(name, *map(sf.expr, metrics))
