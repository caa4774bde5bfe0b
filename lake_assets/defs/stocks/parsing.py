"""From the exchange's CSV to bars and quarantined rows: every line is one or the other.

The normal pass is one job: lines in, valid rows out, counted on the way. Only where it saw bad lines are the files read
again, to say which line is bad, and why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, BinaryIO

from lake_assets.defs.stocks.schema import COLUMNS, HEADER, quarantine_schema

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Observation, SparkSession

_MAGIC = {b"\x1f\x8b": "gzip", b"PK": "zip", b"PAR1": "Parquet", b"BZh": "bzip2", b"\x28\xb5\x2f\xfd": "zstd"}
_NUMBER = r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?(?:[eE][-+]?[0-9]{1,2})?"
_PATTERNS = {
    "ISIN": "[A-Z]{2}[A-Z0-9]{9}[0-9]",
    "Currency": "[A-Z]{3}",
    "Date": "[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "Time": "(?:[01][0-9]|2[0-3]):[0-5][0-9]",
}
_TEXTS = ("Mnemonic", "SecurityDesc", "SecurityType")
LONGEST_LINE = 4096
"""In bytes; a bar takes about 120. A longer line is not even split: the CSV parser has bounds that it throws at."""

_REQUIRED = tuple(column for column in COLUMNS if column.required)


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
    """The frames of some files; nothing is read before one of them is written.

    Parameters
    ----------
    spark
        The session.
    files
        Files whose header was checked.
    """

    def __init__(self, spark: SparkSession, files: Sequence[StocksFile]) -> None:
        from pyspark.sql import Observation

        self._spark = spark
        self._files = files
        self._observation: Observation = Observation()
        self.bars = self._bars()
        """The valid rows, with the partition columns of their files."""

    def _lines(self) -> DataFrame:
        """Every line: ``value`` without its line end, ``file``, and where its block of the file begins."""
        from pyspark.sql import functions as F  # noqa: N812

        # Exactly "\n": by default a lone "\r" would end a line, too, and line numbers would not be the file's.
        text = self._spark.read.option("lineSep", "\n").text([file.uri for file in self._files])
        line = F.col("value")
        stripped = F.when(F.endswith(line, F.lit("\r")), F.substring(line, F.lit(1), F.char_length(line) - 1))
        return text.select(
            stripped.otherwise(line).alias("value"),
            F.col("_metadata.file_name").alias("file"),
            F.col("_metadata.file_block_start").alias("block"),
        )

    def _bars(self) -> DataFrame:
        from pyspark.sql import functions as F  # noqa: N812

        rows = _split(self._lines()).withColumn("valid", F.coalesce(_is_valid(), F.lit(False)))
        measures = [F.count(F.lit(1)).alias("any")]
        for index, file in enumerate(self._files):
            here = F.col("file") == F.lit(file.name) if len(self._files) > 1 else F.lit(True)
            measures += [
                F.count_if(here).alias(f"lines{index}"),
                F.count_if(here & F.col("valid")).alias(f"valid{index}"),
            ]
        observed = rows.observe(self._observation, *measures).where("valid")
        return observed.select(
            *[F.col(f"f.{column.name}").cast(column.type).alias(column.name) for column in COLUMNS],
            *self._partition_columns(),
        )

    def _partition_columns(self) -> list[Column]:
        from pyspark.sql import functions as F  # noqa: N812

        def value(name: str) -> Column:
            cases = [(F.col("file") == F.lit(file.name), F.lit(file.partition[name])) for file in self._files]
            return reduce(lambda when, case: when.when(*case), cases[1:], F.when(*cases[0]))

        return [value(name).alias(name) for name in self._files[0].partition]

    def counts(self) -> dict[str, FileCounts]:
        """Return file name to its counts, as the pass that wrote :attr:`bars` saw them; waits for that pass."""
        seen = self._observation.get
        counts: dict[str, FileCounts] = {}
        for index, file in enumerate(self._files):
            lines = int(seen[f"lines{index}"]) - 1
            counts[file.name] = FileCounts(lines, lines - int(seen[f"valid{index}"]))
        return counts

    def bad_rows(self) -> DataFrame:
        """Return the bad rows with line and reason, and the partition columns; call it after :meth:`counts`."""
        from pyspark.sql import functions as F  # noqa: N812

        if not any(count.bad for count in self.counts().values()):
            empty = self._spark.createDataFrame([], quarantine_schema())
            return empty.withColumns({name: F.lit("") for name in self._files[0].partition})
        lines = self._lines().withColumn("id", F.monotonically_increasing_id())
        # Ids rise within a block; a block is numbered on from the lines of those before it in its file.
        blocks = lines.groupBy("file", "block").agg(F.count(F.lit(1)).alias("n"), F.min("id").alias("first")).collect()
        starts: list[tuple[str, int, int]] = []
        total: dict[str, int] = {}
        for block in sorted(blocks, key=lambda row: (row["file"], row["block"])):
            before = total.get(block["file"], 0)
            starts.append((block["file"], block["block"], before + 1 - block["first"]))
            total[block["file"]] = before + block["n"]
        offsets = self._spark.createDataFrame(starts, "file string, block bigint, offset bigint")
        numbered = lines.join(F.broadcast(offsets), ["file", "block"]).withColumn("line", F.col("id") + F.col("offset"))
        bad = (
            _split(numbered, "line")
            .where(~F.coalesce(_is_valid(), F.lit(False)))
            .where((F.col("line") > 1) | (F.col("value") != F.lit(HEADER)))
        )
        return bad.select(
            "file",
            "line",
            _reason().alias("reason"),
            F.make_valid_utf8("value").alias("raw"),
            *self._partition_columns(),
        )


def parse(spark: SparkSession, files: Sequence[StocksFile]) -> Parsed:
    """Return the frames of files whose header was checked with :func:`check_header`."""
    return Parsed(spark, files)


def _split(lines: DataFrame, *keep: str) -> DataFrame:
    """Split each line into its fields, all strings: ``f``. Empty fields are null."""
    from pyspark.sql import functions as F  # noqa: N812

    schema = ", ".join(f"{column.name} string" for column in COLUMNS) + ", _corrupt string"
    options = {"columnNameOfCorruptRecord": "_corrupt", "escape": '"'}
    short = F.when(F.octet_length("value") <= LONGEST_LINE, F.col("value"))
    return lines.select(
        "value",
        "file",
        *keep,
        F.from_csv(short, F.lit(schema), options).alias("f"),
        # Beside something that is not deterministic, so that no filter is pushed below: it would parse once a field.
        F.monotonically_increasing_id().alias("barrier"),
    )


def _is_valid() -> Column:
    """Return whether a line is a bar; null counts as no. Strict: no blanks, signs or suffixes that a cast forgives."""
    from pyspark.sql import functions as F  # noqa: N812

    pattern = "^" + ",".join(_pattern(column.name) for column in _REQUIRED) + "$"
    return reduce(
        lambda left, right: left & right,
        [
            F.is_valid_utf8("value"),
            ~F.contains("value", F.lit("\0")),
            F.col("f._corrupt").isNull(),
            _quotes_are_right(),
            # Nulls are left out here, so that a line without a required field does not match.
            F.concat_ws(",", *[F.col(f"f.{column.name}") for column in _REQUIRED]).rlike(pattern),
            *[
                F.col(f"f.{column.name}").try_cast(column.type).isNotNull()
                for column in _REQUIRED
                if column.type in ("int", "date")
            ],
            check_digit_is_right(F.col("f.ISIN")),
        ],
    )


def _quotes_are_right() -> Column:
    """Return whether every quote in a text was written as a doubled one: the CSV parser forgives stray ones."""
    from pyspark.sql import functions as F  # noqa: N812

    texts = F.concat_ws("", *[F.col(f"f.{name}") for name in _TEXTS])
    return ~F.contains(texts, F.lit('"')) | F.contains("value", F.lit('""'))


def _pattern(name: str) -> str:
    kinds = {column.name: column.type for column in COLUMNS}
    return _PATTERNS.get(name) or ("-?[0-9]{1,10}" if kinds[name] == "int" else _NUMBER)


def check_digit_is_right(isin: Column) -> Column:
    """Return whether a well-formed ISIN passes its check digit: letters are two digits, then Luhn (ISO 6166)."""
    from pyspark.sql import functions as F  # noqa: N812

    def digits(place: int) -> Column:
        return F.conv(F.substring(isin, place, 1), 36, 10)

    # Most have letters in the first two places only.
    plain = F.concat(digits(1), digits(2), F.substring(isin, 3, 10))
    general = F.concat(*[digits(place) for place in range(1, 13)])
    return F.call_function("luhn_check", F.when(F.substring(isin, 3, 10).rlike("^[0-9]+$"), plain).otherwise(general))


def _reason() -> Column:
    """Return why a bad line is none: the first rule that it breaks."""
    from pyspark.sql import functions as F  # noqa: N812

    rules: list[tuple[Column, Column | str]] = [
        (F.col("value") == F.lit(""), "the line is blank"),
        (~F.is_valid_utf8("value"), "the line is not UTF-8 text"),
        (F.contains("value", F.lit("\0")), "the line has a NUL byte"),
        (F.col("value") == F.lit(HEADER), "the line is a second header"),
        (F.octet_length("value") > LONGEST_LINE, f"the line is longer than {LONGEST_LINE} bytes"),
        (F.col("f._corrupt").isNotNull(), f"the line has not {len(COLUMNS)} fields"),
    ]
    for column in _REQUIRED:
        value = F.col(f"f.{column.name}")
        shown = F.concat(F.lit(f"{column.name} is not a valid {column.type}: "), F.substring(value, 1, 40))
        rules += [
            (value.isNull() | (value == F.lit("")), f"{column.name} is empty"),
            (~value.rlike(f"^{_pattern(column.name)}$"), shown),
        ]
        if column.type in ("int", "date"):
            rules.append((value.try_cast(column.type).isNull(), shown))
        if column.name == "ISIN":
            rules.append((~check_digit_is_right(value), "ISIN fails its check digit"))
    rules.append((~_quotes_are_right(), "a field has stray quotes"))
    cases = [(condition, F.lit(text) if isinstance(text, str) else text) for condition, text in rules]
    return reduce(lambda when, case: when.when(*case), cases[1:], F.when(*cases[0])).otherwise(
        "the line does not parse"
    )
