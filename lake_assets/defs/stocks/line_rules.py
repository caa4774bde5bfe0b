"""What makes a line of the exchange's file a bar: the rules, as Spark expressions, and why a line breaks them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import TYPE_CHECKING

from lake_assets.defs.stocks.schema import COLUMNS, HEADER

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

LONGEST_LINE = 4096
"""In bytes; a bar takes about 120. A longer line is not even split: the CSV parser has bounds that it throws at."""

_NUMBER = r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?(?:[eE][-+]?[0-9]{1,2})?"
_PATTERNS = {
    "ISIN": "[A-Z]{2}[A-Z0-9]{9}[0-9]",
    "Currency": "[A-Z]{3}",
    "Date": "[0-9]{4}-[0-9]{2}-[0-9]{2}",
    "Time": "(?:[01][0-9]|2[0-3]):[0-5][0-9]",
}
_TEXTS = ("Mnemonic", "SecurityDesc", "SecurityType")
_REQUIRED = tuple(column for column in COLUMNS if column.required)

# What the plain form asks of a value: a subset of the rule that needs no cast, and that is quick to match.
_LONG_MONTH = "(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
_SHORT_MONTH = "(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
_PLAIN = {
    "Date": f"[12][0-9]{{3}}-(?:{_LONG_MONTH}|{_SHORT_MONTH}|02-(?:0[1-9]|1[0-9]|2[0-8]))",
    "SecurityID": "-?[0-9]{1,9}",
    "NumberOfTrades": "-?[0-9]{1,9}",
    **dict.fromkeys(_TEXTS, r'[^",\r\n\x00\uFFFD]*|"[^"\r\n\x00\uFFFD]*"'),
}
_HEAD = COLUMNS[:7]
_TAIL = COLUMNS[7:]


def plain_head(line: Column) -> Column:
    """Return a line's fields up to the day, as text, where those after it are plain; else null.

    Plain is what nearly every line of a real file is: beyond doubt a bar, if :func:`is_plain_head` agrees. The head is
    the same in all of a security's lines, so that it need be looked at only once.
    """
    from pyspark.sql import functions as sf

    tail = sf.substring_index(line, ",", -len(_TAIL))
    head = sf.call_function("substring_index", line, sf.concat(sf.lit(","), tail), sf.lit(1))
    return sf.when(tail.rlike(_all(_plain(column.name).replace("}", "}+") for column in _TAIL)), head)


def is_plain_head(head: Column) -> Column:
    """Return whether the fields up to the day are plain, and the check digit right; null where there are none."""
    from pyspark.sql import functions as sf

    texts = [
        f'(?:{pattern}|"{pattern}")' if name not in _TEXTS else f"(?:{pattern})"
        for name, pattern in ((column.name, _plain(column.name)) for column in _HEAD)
    ]
    isin = sf.substring(sf.replace(head, sf.lit('"'), sf.lit("")), 1, 12)
    return (sf.octet_length(head) <= LONGEST_LINE - 1000) & head.rlike(_all(texts)) & check_digit_is_right(isin)


def _plain(name: str) -> str:
    return _PLAIN.get(name) or _pattern(name)


def _all(patterns: Iterable[str]) -> str:
    """Return the pattern of a whole text; unlike `^` and `$`, its ends are no line ends."""
    return rf"\A{','.join(patterns)}\z"


def split(lines: DataFrame, *keep: str) -> DataFrame:
    """Split each line into its fields, all strings: ``f``. Empty fields are null."""
    from pyspark.sql import functions as sf

    schema = ", ".join(f"{column.name} string" for column in COLUMNS) + ", _corrupt string"
    options = {"columnNameOfCorruptRecord": "_corrupt", "escape": '"'}
    short = sf.when(sf.octet_length("value") <= LONGEST_LINE, sf.col("value"))
    return lines.select(
        "value",
        "file",
        *keep,
        sf.from_csv(short, sf.lit(schema), options).alias("f"),
        # Beside something that is not deterministic, so that no filter is pushed below: it would parse once a field.
        sf.monotonically_increasing_id().alias("barrier"),
    )


def is_valid() -> Column:
    """Return whether a line is a bar; null counts as no. Strict: no blanks, signs or suffixes that a cast forgives."""
    from pyspark.sql import functions as sf

    pattern = _all(_pattern(column.name) for column in _REQUIRED)
    return reduce(
        lambda left, right: left & right,
        [
            sf.is_valid_utf8("value"),
            ~sf.contains("value", sf.lit("\0")),
            sf.col("f._corrupt").isNull(),
            _quotes_are_right(),
            # Nulls are left out here, so that a line without a required field does not match.
            sf.concat_ws(",", *[sf.col(f"f.{column.name}") for column in _REQUIRED]).rlike(pattern),
            *[
                sf.col(f"f.{column.name}").try_cast(column.type).isNotNull()
                for column in _REQUIRED
                if column.type in ("int", "date")
            ],
            check_digit_is_right(sf.col("f.ISIN")),
        ],
    )


def _quotes_are_right() -> Column:
    """Return whether quotes come in pairs, and one in a text was doubled: the CSV parser forgives stray ones."""
    from pyspark.sql import functions as sf

    texts = sf.concat_ws("", *[sf.col(f"f.{name}") for name in _TEXTS])
    quotes = sf.char_length("value") - sf.char_length(sf.replace(sf.col("value"), sf.lit('"'), sf.lit("")))
    return (quotes % 2 == 0) & (~sf.contains(texts, sf.lit('"')) | sf.contains("value", sf.lit('""')))


def _pattern(name: str) -> str:
    kinds = {column.name: column.type for column in COLUMNS}
    return _PATTERNS.get(name) or ("-?[0-9]{1,10}" if kinds[name] == "int" else _NUMBER)


def check_digit_is_right(isin: Column) -> Column:
    """Return whether a well-formed ISIN passes its check digit: letters are two digits, then Luhn (ISO 6166)."""
    from pyspark.sql import functions as sf

    def digits(place: int) -> Column:
        return sf.conv(sf.substring(isin, place, 1), 36, 10)

    # Most have letters in the first two places only.
    plain = sf.concat(digits(1), digits(2), sf.substring(isin, 3, 10))
    general = sf.concat(*[digits(place) for place in range(1, 13)])
    return sf.call_function(
        "luhn_check", sf.when(sf.substring(isin, 3, 10).rlike("^[0-9]+$"), plain).otherwise(general)
    )


def reason() -> Column:
    """Return why a bad line is none: the first rule that it breaks."""
    from pyspark.sql import functions as sf

    rules: list[tuple[Column, Column | str]] = [
        (sf.col("value") == sf.lit(""), "the line is blank"),
        (~sf.is_valid_utf8("value"), "the line is not UTF-8 text"),
        (sf.contains("value", sf.lit("\0")), "the line has a NUL byte"),
        (sf.col("value") == sf.lit(HEADER), "the line is a second header"),
        (sf.octet_length("value") > LONGEST_LINE, f"the line is longer than {LONGEST_LINE} bytes"),
        (sf.col("f._corrupt").isNotNull(), f"the line has not {len(COLUMNS)} fields"),
    ]
    for column in _REQUIRED:
        value = sf.col(f"f.{column.name}")
        shown = sf.concat(sf.lit(f"{column.name} is not a valid {column.type}: "), sf.substring(value, 1, 40))
        rules += [
            (value.isNull() | (value == sf.lit("")), f"{column.name} is empty"),
            (~value.rlike(_all([_pattern(column.name)])), shown),
        ]
        if column.type in ("int", "date"):
            rules.append((value.try_cast(column.type).isNull(), shown))
        if column.name == "ISIN":
            rules.append((~check_digit_is_right(value), "ISIN fails its check digit"))
    rules.append((~_quotes_are_right(), "a field has stray quotes"))
    cases = [(condition, sf.lit(text) if isinstance(text, str) else text) for condition, text in rules]
    return reduce(lambda when, case: when.when(*case), cases[1:], sf.when(*cases[0])).otherwise(
        "the line does not parse"
    )
