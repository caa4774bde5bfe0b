"""From the exchange's CSV to bars and quarantined rows: every line is one or the other.

First the lines are surveyed, as text. Where each is beyond doubt a bar, which is the normal case, Spark's CSV reader
does the rest. Else every field of every line is checked in the pass that writes the valid rows, and where that pass saw
bad lines the files are read once more, to say which line is bad, and why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, BinaryIO

from lake_assets.defs.stocks.line_rules import is_plain_head, is_valid, plain_head, reason, split
from lake_assets.defs.stocks.schema import COLUMNS, HEADER, quarantine_schema, spark_schema

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Observation, SparkSession

_MAGIC = {b"\x1f\x8b": "gzip", b"PK": "zip", b"PAR1": "Parquet", b"BZh": "bzip2", b"\x28\xb5\x2f\xfd": "zstd"}


class BadStocksFile(Exception):
    """A whole file that is not the exchange's: nothing of it is parsed."""


@dataclass(frozen=True, slots=True)
class StocksFile:
    """One file to parse: its name, where Spark reads it, and the partition columns its rows get (may be none)."""

    name: str
    uri: str
    partition: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class FileCounts:
    """Lines of a file after its header, and how many of them are bad."""

    lines: int
    bad: int


def check_header(open_file: Callable[[], BinaryIO], name: str) -> None:
    """Check that a file begins with the exchange's header; reads its first bytes only.

    Raises
    ------
    BadStocksFile
        It does not; the message names the difference.
    """
    with open_file() as file:
        start = file.read(len(HEADER) * 8)
    problem = _header_problem(start)
    if problem:
        raise BadStocksFile(f"{name} is not a file of the exchange: {problem}. Check the source, and fetch it again")


def _header_problem(start: bytes) -> str | None:
    if not start:
        return "it is empty (0 bytes), without even a header"
    for magic, kind in _MAGIC.items():
        if start.startswith(magic):
            return f"it is {kind} data, not text"
    line = start.split(b"\n", 1)[0].removesuffix(b"\r")
    if line == HEADER.encode():
        return None
    if b"\0" in start:
        return "it is binary data, not text"
    if start.startswith(b"\xef\xbb\xbf"):
        return "it begins with a UTF-8 byte order mark before the header"
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "it is a web page or XML document, perhaps an error of the server"
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return "its header is not UTF-8 text"
    if b"\n" not in start and HEADER.startswith(text):
        return f"its header is cut off after {text[-40:]!r}"
    for delimiter in (";", "\t", "|"):
        if text.replace(delimiter, ",") == HEADER:
            return f"the header's delimiter is {delimiter!r} where ',' is expected"
    got, expected = [part.strip().strip('"') for part in text.split(",")], HEADER.split(",")
    missing = [column for column in expected if column not in got]
    extra = [column for column in got if column not in expected]
    if not missing and not extra:
        return f"its header has the columns in another order or form: {text[:300]!r}"
    parts = [f"lacks {', '.join(missing)}"] if missing else []
    parts += [f"has {', '.join(repr(column[:40]) for column in extra[:20])} instead or besides"] if extra else []
    return f"its header {' and '.join(parts)}"


class Parsed:
    """The frames of some files.

    Parameters
    ----------
    spark
        The session.
    files
        Files whose header was checked. They are read once here, to see whether every line is beyond doubt a bar.
    """

    def __init__(self, spark: SparkSession, files: Sequence[StocksFile]) -> None:
        from pyspark.sql import Observation

        self._spark = spark
        self._files = files
        self._observation: Observation = Observation()
        surveyed = self._survey()
        self._counts = surveyed if not any(count.bad for count in surveyed.values()) else None
        self.bars = self._plain_bars() if self._counts else self._valid_bars()
        """The valid rows, with the partition columns of their files."""

    def _survey(self) -> dict[str, FileCounts]:
        """Return file name to its lines and those of them that are not plain: one job, and no line is split.

        What is costly to check is the same in all lines of a security, and checked once.
        """
        from pyspark.sql import functions as sf

        heads = self._lines().select("file", plain_head(sf.col("value")).alias("head")).groupBy("file", "head").count()
        plain = sf.when(is_plain_head(sf.col("head")), sf.col("count"))
        totals = heads.groupBy("file").agg(sf.sum("count").alias("lines"), sf.sum(plain).alias("plain")).collect()
        counts: dict[str, FileCounts] = {}
        for row in totals:
            lines = int(row["lines"]) - 1
            counts[row["file"]] = FileCounts(lines, lines - int(row["plain"] or 0))
        return counts

    def _lines(self) -> DataFrame:
        """Every line: ``value`` without its line end, ``file``, and where its block of the file begins."""
        from pyspark.sql import functions as sf

        # Exactly "\n": by default a lone "\r" would end a line, too, and line numbers would not be the file's.
        text = self._spark.read.option("lineSep", "\n").text([file.uri for file in self._files])
        line = sf.col("value")
        stripped = sf.when(sf.endswith(line, sf.lit("\r")), sf.substring(line, sf.lit(1), sf.char_length(line) - 1))
        return text.select(
            stripped.otherwise(line).alias("value"),
            sf.col("_metadata.file_name").alias("file"),
            sf.col("_metadata.file_block_start").alias("block"),
        )

    def _plain_bars(self) -> DataFrame:
        """Return the rows of files all of whose lines are plain: nothing is left to check."""
        from pyspark.sql import functions as sf

        rows = self._spark.read.csv(
            [file.uri for file in self._files], schema=spark_schema(), header=True, escape='"', mode="FAILFAST"
        )
        if not self._files[0].partition:
            return rows
        named = rows.select("*", sf.col("_metadata.file_name").alias("file"))
        return named.select(*spark_schema().names, *self._partition_columns())

    def _valid_bars(self) -> DataFrame:
        """Return the rows that are valid, and count them and the lines on the way."""
        from pyspark.sql import functions as sf

        rows = split(self._lines()).withColumn("valid", sf.coalesce(is_valid(), sf.lit(False)))
        measures = [sf.count(sf.lit(1)).alias("any")]
        for index, file in enumerate(self._files):
            here = sf.col("file") == sf.lit(file.name) if len(self._files) > 1 else sf.lit(True)
            measures += [
                sf.count_if(here).alias(f"lines{index}"),
                sf.count_if(here & sf.col("valid")).alias(f"valid{index}"),
            ]
        observed = rows.observe(self._observation, *measures).where("valid")
        return observed.select(
            *[sf.col(f"f.{column.name}").cast(column.type).alias(column.name) for column in COLUMNS],
            *self._partition_columns(),
        )

    def _partition_columns(self) -> list[Column]:
        from pyspark.sql import functions as sf

        def value(name: str) -> Column:
            cases = [(sf.col("file") == sf.lit(file.name), sf.lit(file.partition[name])) for file in self._files]
            return reduce(lambda when, case: when.when(*case), cases[1:], sf.when(*cases[0]))

        return [value(name).alias(name) for name in self._files[0].partition]

    def counts(self) -> dict[str, FileCounts]:
        """Return file name to its counts; where a line is not plain, waits for the pass that writes :attr:`bars`."""
        if self._counts is not None:
            return self._counts
        seen = self._observation.get
        counts: dict[str, FileCounts] = {}
        for index, file in enumerate(self._files):
            lines = int(seen[f"lines{index}"]) - 1
            counts[file.name] = FileCounts(lines, lines - int(seen[f"valid{index}"]))
        return counts

    def bad_rows(self) -> DataFrame:
        """Return the bad rows with line and reason, and the partition columns; call it after :meth:`counts`."""
        from pyspark.sql import functions as sf

        if not any(count.bad for count in self.counts().values()):
            empty = self._spark.createDataFrame([], quarantine_schema())
            return empty.withColumns({name: sf.lit("") for name in self._files[0].partition})
        lines = self._lines().withColumn("id", sf.monotonically_increasing_id())
        # Ids rise within a block; a block is numbered on from the lines of those before it in its file.
        blocks = (
            lines.groupBy("file", "block").agg(sf.count(sf.lit(1)).alias("n"), sf.min("id").alias("first")).collect()
        )
        starts: list[tuple[str, int, int]] = []
        total: dict[str, int] = {}
        for block in sorted(blocks, key=lambda row: (row["file"], row["block"])):
            before = total.get(block["file"], 0)
            starts.append((block["file"], block["block"], before + 1 - block["first"]))
            total[block["file"]] = before + block["n"]
        offsets = self._spark.createDataFrame(starts, "file string, block bigint, offset bigint")
        numbered = lines.join(sf.broadcast(offsets), ["file", "block"]).withColumn(
            "line", sf.col("id") + sf.col("offset")
        )
        bad = (
            split(numbered, "line")
            .where(~sf.coalesce(is_valid(), sf.lit(False)))
            .where((sf.col("line") > 1) | (sf.col("value") != sf.lit(HEADER)))
        )
        return bad.select(
            "file",
            "line",
            reason().alias("reason"),
            sf.make_valid_utf8("value").alias("raw"),
            *self._partition_columns(),
        )


def parse(spark: SparkSession, files: Sequence[StocksFile]) -> Parsed:
    """Return the frames of files whose header was checked with :func:`check_header`."""
    return Parsed(spark, files)
