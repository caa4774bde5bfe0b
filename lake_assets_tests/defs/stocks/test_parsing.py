"""Every line of a file is a bar or a quarantined row, and a file that is not the exchange's is refused."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lake_assets.defs.stocks.generator import isin_check_digit
from lake_assets.defs.stocks.line_rules import check_digit_is_right
from lake_assets.defs.stocks.parsing import BadStocksFile, StocksFile, check_header, parse
from lake_assets.defs.stocks.schema import COLUMNS, HEADER

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

GOOD = '"DE0007164600","SAP","SAP SE O.N.","Common stock","EUR",2505077,2017-07-28,08:00,90.5,90.6,90.4,90.5,100,3'


def with_field(name: str, text: str) -> str:
    """Return the good line with another text in one field, quotes and all."""
    fields: list[str] = list[str](GOOD.split(","))
    fields[[column.name for column in COLUMNS].index(name)] = text
    return ",".join(fields)


def parsed(spark: SparkSession, folder: Path, content: bytes) -> tuple[list[tuple[object, ...]], dict[int, str]]:
    """Return the bars of a file, and line to reason of its quarantined rows."""
    path = folder / "2017-07-28_BINS_XETR08.csv"
    path.write_bytes(content)
    result = parse(spark, [StocksFile(path.name, path.as_uri())])
    bars = [tuple(row) for row in result.bars.collect()]
    bad = {row["line"]: row["reason"] for row in result.bad_rows().collect()}
    counts = result.counts()[path.name]
    assert (counts.lines, counts.bad) == (len(bars) + len(bad), len(bad))
    return bars, bad


BAD_LINES: Mapping[str, tuple[bytes, str]] = {
    "a blank line": (b"", "the line is blank"),
    "too few fields": (b'"DE0007164600","SAP"', "the line has not 14 fields"),
    "too many fields": (GOOD.encode() + b",7", "the line has not 14 fields"),
    "a second header": (HEADER.encode(), "the line is a second header"),
    "a NUL byte in a text": (GOOD.replace("SAP SE", "SAP\0SE").encode(), "the line has a NUL byte"),
    "a NUL byte in a number": (with_field("EndPrice", "90\0.5").encode(), "the line has a NUL byte"),
    "Latin-1 bytes": (GOOD.replace("SAP SE", "SÄP SE").encode("latin-1"), "the line is not UTF-8 text"),
    "no ISIN": (with_field("ISIN", '""').encode(), "ISIN is empty"),
    "a short ISIN": (with_field("ISIN", '"DE00071646"').encode(), "ISIN is not a valid string: DE00071646"),
    "a wrong check digit": (with_field("ISIN", '"DE0007164601"').encode(), "ISIN fails its check digit"),
    "no currency": (with_field("Currency", "").encode(), "Currency is empty"),
    "a wrong currency": (with_field("Currency", '"eur"').encode(), "Currency is not a valid string: eur"),
    "a price that is none": (with_field("StartPrice", "n/a").encode(), "StartPrice is not a valid double: n/a"),
    "a price with a suffix": (with_field("StartPrice", "1d").encode(), "StartPrice is not a valid double: 1d"),
    "a price of NaN": (with_field("MinPrice", "NaN").encode(), "MinPrice is not a valid double: NaN"),
    "an infinite price": (with_field("MaxPrice", "Infinity").encode(), "MaxPrice is not a valid double: Infinity"),
    "a number with a blank": (with_field("TradedVolume", " 100").encode(), "TradedVolume is not a valid double:  100"),
    "an integer that is none": (with_field("NumberOfTrades", "3.5").encode(), "NumberOfTrades is not a valid int: 3.5"),
    "an integer too large": (
        with_field("SecurityID", "9999999999").encode(),
        "SecurityID is not a valid int: 9999999999",
    ),
    "a day that is none": (with_field("Date", "2017-02-30").encode(), "Date is not a valid date: 2017-02-30"),
    "a day in another form": (with_field("Date", "28.07.2017").encode(), "Date is not a valid date: 28.07.2017"),
    "a minute that is none": (with_field("Time", "24:00").encode(), "Time is not a valid string: 24:00"),
    "an open quote": (GOOD.replace('"SAP SE O.N."', '"SAP SE O.N.').encode(), "the line has not 14 fields"),
    "ten megabytes": (b"x" * 10_000_000, "the line is longer than 4096 bytes"),
    "ten megabytes of commas": (b"," * 10_000_000, "the line is longer than 4096 bytes"),
    "a text after its quotes": (with_field("Mnemonic", '"SAP"X').encode(), "a field has stray quotes"),
    "a quote in a text without quotes": (with_field("Mnemonic", 'S"AP').encode(), "a field has stray quotes"),
    "a sign that a cast forgives": (with_field("EndPrice", "+90.5").encode(), "EndPrice is not a valid double: +90.5"),
    "a hexadecimal price": (with_field("EndPrice", "0x1p3").encode(), "EndPrice is not a valid double: 0x1p3"),
    "a quote that is never closed": (with_field("NumberOfTrades", '"3').encode(), "a field has stray quotes"),
    "a day with one digit": (with_field("Date", "2017-7-28").encode(), "Date is not a valid date: 2017-7-28"),
}


def test_each_bad_line_is_quarantined_with_its_number_and_reason(spark: SparkSession, tmp_path: Path) -> None:
    lines = [HEADER.encode()]
    for line, _ in BAD_LINES.values():
        lines += [line, GOOD.encode()]
    bars, bad = parsed(spark, tmp_path, b"\n".join(lines) + b"\n")
    assert len(bars) == len(BAD_LINES)
    reasons = {name: bad.get(2 + 2 * index) for index, name in enumerate(BAD_LINES)}
    assert reasons == {name: reason for name, (_, reason) in BAD_LINES.items()}


@pytest.mark.parametrize(
    ("text", "good"),
    [
        (f"{HEADER}\n", 0),
        (HEADER, 0),
        (f"{HEADER}\n{GOOD}", 1),
        (f"{HEADER}\r\n{GOOD}\r\n{GOOD}\r\n", 2),
        (f"{HEADER}\n{GOOD.replace('SAP SE O.N.', 'A quoted, name, with commas')}\n", 1),
        (f"{HEADER}\n{with_field('Mnemonic', '')}\n{with_field('SecurityDesc', '')}\n", 2),
        (f"{HEADER}\n{with_field('TradedVolume', '1.5E7')}\n{with_field('TradedVolume', '-3')}\n", 2),
    ],
)
def test_lines_that_are_unusual_and_right_are_bars(spark: SparkSession, tmp_path: Path, text: str, good: int) -> None:
    bars, bad = parsed(spark, tmp_path, text.encode())
    assert (len(bars), bad) == (good, {})


PLAIN = st.builds(
    lambda texts, day, prices, counts: ",".join(
        [
            *(f'"{text}"' if quoted else text for text, quoted in texts[:1]),
            *(f'"{text}"' if quoted else text for text, quoted in texts[1:]),
            *('"EUR"', counts[0], day, "08:00", *prices, counts[1]),
        ]
    ),
    st.tuples(
        st.tuples(st.sampled_from(["DE0007164600", "US0378331005", "AU0000XVGZA3"]), st.booleans()),
        *[st.tuples(st.text("aÄ雪 #.'/\\-\u2028", max_size=12), st.booleans())] * 3,
    ),
    st.dates().map(lambda day: day.replace(year=2000 + day.year % 100).isoformat()),
    st.lists(st.sampled_from(["0", "-1.5", "90.25", "1e5", "1.5E-7", "000.10"]), min_size=5, max_size=5),
    st.tuples(*[st.sampled_from(["0", "-7", "123456789", "2147483647"])] * 2),
)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PLAIN, min_size=1, max_size=30))
def test_a_bad_line_beside_it_changes_no_bar(spark: SparkSession, tmp_path: Path, lines: list[str]) -> None:
    """Files without a doubtful line are read in another way: it must give the same rows."""
    alone, none_bad = parsed(spark, tmp_path, ("\n".join([HEADER, *lines]) + "\n").encode())
    beside, one_bad = parsed(spark, tmp_path, ("\n".join([HEADER, *lines, "bad"]) + "\n").encode())
    assert alone == beside
    assert (none_bad, list(one_bad)) == ({}, [len(lines) + 2])
    assert len(alone) == len(lines)


def test_line_numbers_are_the_files_over_many_splits(spark: SparkSession, tmp_path: Path) -> None:
    lines = [HEADER] + [GOOD if number % 7 else f"bad {number}" for number in range(400)]
    expected = {number: line for number, line in enumerate(lines, 1) if line.startswith("bad")}
    size = spark.conf.get("spark.sql.files.maxPartitionBytes")
    try:
        spark.conf.set("spark.sql.files.maxPartitionBytes", "1000")
        paths = [tmp_path / f"file{ending}.csv" for ending in ("1", "2")]
        paths[0].write_text("\n".join(lines))
        paths[1].write_bytes("\r\n".join(lines[:200]).encode() + b"\r\n")
        files = [StocksFile(path.name, path.as_uri(), {"part": path.stem}) for path in paths]
        result = parse(spark, files)
        bars = result.bars.groupBy("part").count().collect()
        rows = result.bad_rows().collect()
        counts = result.counts()
    finally:
        spark.conf.set("spark.sql.files.maxPartitionBytes", str(size))
    assert {row["line"]: row["raw"] for row in rows if row["file"] == "file1.csv"} == expected
    assert {row["line"]: row["raw"] for row in rows if row["part"] == "file2"} == {
        number: line for number, line in expected.items() if number <= 200
    }
    good = {row["part"]: row["count"] for row in bars}
    assert {name: (count.lines, count.lines - count.bad) for name, count in counts.items()} == {
        "file1.csv": (400, good["file1"]),
        "file2.csv": (199, good["file2"]),
    }


FILES = {
    "empty": (b"", "it is empty"),
    "gzip": (gzip.compress(HEADER.encode()), "it is gzip data"),
    "Parquet": (b"PAR1" + bytes(100), "it is Parquet data"),
    "binary": (bytes(range(256)), "it is binary data"),
    "a web page": (b"<!DOCTYPE html><html>404</html>", "it is a web page"),
    "a byte order mark": (b"\xef\xbb\xbf" + HEADER.encode() + b"\n", "byte order mark"),
    "another delimiter": (HEADER.replace(",", ";").encode() + b"\n", "delimiter is ';' where ',' is expected"),
    "a missing column": (HEADER.replace("Currency,", "").encode() + b"\n", "lacks Currency"),
    "an extra column": (HEADER.encode() + b",Venue\n", "has 'Venue' instead or besides"),
    "a renamed column": (HEADER.replace("Time", "Minute").encode() + b"\n", "lacks Time and has 'Minute'"),
    "another order": (",".join(reversed(HEADER.split(","))).encode() + b"\n", "another order"),
    "cut off in the header": (HEADER[:30].encode(), "cut off"),
    "no header": (GOOD.encode() + b"\n", "lacks ISIN"),
    "Latin-1": (HEADER.replace("Time", "Zäit").encode("latin-1") + b"\n", "not UTF-8"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_is_not_the_exchanges_is_refused_with_the_difference(kind: str) -> None:
    content, difference = FILES[kind]
    with pytest.raises(BadStocksFile, match=r"2017\.csv is not a file of the exchange") as error:
        check_header(lambda: io.BytesIO(content), "2017.csv")
    assert difference in str(error.value)


def test_the_exchanges_header_is_accepted_with_either_line_end() -> None:
    for content in (HEADER, HEADER + "\n", HEADER + "\r\n" + GOOD):
        check_header(lambda content=content: io.BytesIO(content.encode()), "2017.csv")


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.text(st.characters(exclude_characters="\n"), max_size=60),
            st.lists(st.sampled_from(GOOD.split(",")), min_size=13, max_size=15).map(",".join),
            st.text(st.characters(exclude_characters='\n\r"\0', exclude_categories=["Cs"]), max_size=20).map(
                lambda text: with_field("SecurityDesc", f'"{text}"')
            ),
        ),
        max_size=60,
    )
)
def test_no_line_vanishes_and_what_is_valid_is_what_pythons_csv_reads(
    spark: SparkSession, tmp_path: Path, lines: list[str]
) -> None:
    lines = [line.encode("utf-8", "surrogatepass").decode("utf-8", "replace") for line in lines]
    bars, bad = parsed(spark, tmp_path, ("\n".join([HEADER, *lines]) + "\n").encode())
    assert len(bars) + len(bad) == len(lines)
    valid = [line for number, line in enumerate(lines, 2) if number not in bad]
    for bar, line in zip(bars, valid, strict=True):
        fields = next(csv.reader([line.removesuffix("\r")]))
        assert [str(value or "") for value in bar[:5]] == fields[:5]


def test_the_check_digit_expression_agrees_with_python(spark: SparkSession) -> None:
    from random import Random

    random = Random(7)
    letters, digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
    isins: list[tuple[str, bool]] = [(isin, True) for isin in ("US0378331005", "CH0011075394", "AU0000XVGZA3")]
    for number in range(300):
        body = "".join(random.choices(letters, k=2) + random.choices(digits + letters * (number % 2), k=9))
        right = isin_check_digit(body)
        given_digit = random.choice([right, random.choice(digits)])
        isins.append((body + given_digit, given_digit == right))
    from pyspark.sql import functions as sf

    frame = spark.createDataFrame(isins, "isin string, right boolean")
    assert frame.where(check_digit_is_right(sf.col("isin")) != sf.col("right")).collect() == []
