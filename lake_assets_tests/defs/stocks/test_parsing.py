"""Every line of a file is a bar or a quarantined row, and a file that is not the exchange's is refused."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow.fs import LocalFileSystem

from lake_assets.compute.executors import LocalExecutor
from lake_assets.compute.frame import TaskFrame
from lake_assets.content.version import version_of_files
from lake_assets.defs.stocks import parsing
from lake_assets.defs.stocks.check_digits import check_digits_are_right
from lake_assets.defs.stocks.generator import isin_check_digit
from lake_assets.defs.stocks.parsing import BadStocksFile, StocksFile, check_header, parse, quarantined
from lake_assets.defs.stocks.schema import COLUMNS, HEADER, quarantine_schema
from lake_assets_tests.depth import examples


def local(size: int) -> LocalExecutor:
    return LocalExecutor()


ANSWERS = Path(__file__).with_name("answers.jsonl")
"""Odd lines, with the bar or the reason that Spark gave for each when it did the parsing.

Three answers are others than Spark's. A line with a stray quote is no bar. A line that ends in half a character and a
carriage return is not UTF-8. And the year 0 is no date: a file with it could not be written.
"""

GOOD = '"DE0007164600","SAP","SAP SE O.N.","Common stock","EUR",2505077,2017-07-28,08:00,90.5,90.6,90.4,90.5,100,3'


def with_field(name: str, text: str) -> str:
    """Return the good line with another text in one field, quotes and all."""
    fields: list[str] = list[str](GOOD.split(","))
    fields[[column.name for column in COLUMNS].index(name)] = text
    return ",".join(fields)


def written(frame: TaskFrame, folder: Path) -> dict[str, pyarrow.Table]:
    """Write a frame as the IO manager does, and return the rows of each partition."""
    contents = frame.write(LocalFileSystem(), {key: str(folder / key) for key in frame.tasks})
    tables: dict[str, pyarrow.Table] = {}
    for key, content in contents.items():
        files = sorted((folder / key).iterdir())
        assert version_of_files(map(str, files), LocalFileSystem()) == content
        tables[key] = pyarrow.concat_tables([pq.read_table(file) for file in files])
        for file in files:
            file.unlink()
    return tables


def stocks_file(path: Path) -> StocksFile:
    return StocksFile(path.name, LocalFileSystem(), str(path))


def parsed_rows(path: Path) -> tuple[list[tuple[Any, ...]], list[dict[str, Any]]]:
    """Return the bars of a file, and its quarantined rows."""
    files = {"": stocks_file(path)}
    check_header(lambda: LocalFileSystem().open_input_stream(str(path)), path.name)
    frame = parse(files, local)
    bars = [tuple(row.values()) for row in written(frame, path.parent / "bars")[""].to_pylist()]
    bad = written(quarantined(files, frame, local), path.parent / "bad")[""]
    assert bad.schema == quarantine_schema()
    counts = frame.counts[""]
    assert (counts["lines"], counts["bad"]) == (len(bars) + len(bad), len(bad))
    return bars, bad.to_pylist()


def parsed(folder: Path, content: bytes) -> tuple[list[tuple[Any, ...]], dict[int, str]]:
    """Return the bars of a file, and line to reason of its quarantined rows."""
    path = folder / "2017-07-28_BINS_XETR08.csv"
    path.write_bytes(content)
    bars, bad = parsed_rows(path)
    assert all(row["file"] == path.name for row in bad)
    return bars, {row["line"]: row["reason"] for row in bad}


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
    "an open quote that a comma ends": (
        with_field("SecurityDesc", '"SAP, SE"').removesuffix("3").encode() + b'"3,',
        "NumberOfTrades is not a valid int: 3,",
    ),
    "a day with one digit": (with_field("Date", "2017-7-28").encode(), "Date is not a valid date: 2017-7-28"),
}


def test_each_bad_line_is_quarantined_with_its_number_and_reason(tmp_path: Path) -> None:
    lines = [HEADER.encode()]
    for line, _ in BAD_LINES.values():
        lines += [line, GOOD.encode()]
    bars, bad = parsed(tmp_path, b"\n".join(lines) + b"\n")
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
def test_lines_that_are_unusual_and_right_are_bars(tmp_path: Path, text: str, good: int) -> None:
    bars, bad = parsed(tmp_path, text.encode())
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


@settings(max_examples=examples(20))
@given(st.lists(PLAIN, min_size=1, max_size=30))
def test_a_bad_line_beside_it_changes_no_bar(tmp_path: Path, lines: list[str]) -> None:
    """Files without a doubtful line are read in another way: it must give the same rows."""
    alone, none_bad = parsed(tmp_path, ("\n".join([HEADER, *lines]) + "\n").encode())
    beside, one_bad = parsed(tmp_path, ("\n".join([HEADER, *lines, "bad"]) + "\n").encode())
    assert alone == beside
    assert (none_bad, list(one_bad)) == ({}, [len(lines) + 2])
    assert len(alone) == len(lines)


@pytest.mark.parametrize("size", [1000, 10_000])
def test_line_numbers_are_the_files_over_many_ranges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(parsing, "RANGE_BYTES", size)
    monkeypatch.setattr(parsing, "BLOCK_BYTES", 500)
    lines = [HEADER] + [GOOD if number % 7 else f"bad {number}" for number in range(400)]
    expected = {number: line for number, line in enumerate(lines, 1) if line.startswith("bad")}
    paths = {name: tmp_path / f"{name}.csv" for name in ("file1", "file2")}
    paths["file1"].write_text("\n".join(lines))
    paths["file2"].write_bytes("\r\n".join(lines[:200]).encode() + b"\r\n")
    files = {name: stocks_file(path) for name, path in paths.items()}
    frame = parse(files, local)
    bars = written(frame, tmp_path / "bars")
    bad = written(quarantined(files, frame, local), tmp_path / "bad")
    assert {row["line"]: row["raw"] for row in bad["file1"].to_pylist()} == expected
    assert {row["line"]: row["raw"] for row in bad["file2"].to_pylist()} == {
        number: line for number, line in expected.items() if number <= 200
    }
    assert {name: (count["lines"], count["lines"] - count["bad"]) for name, count in frame.counts.items()} == {
        "file1": (400, bars["file1"].num_rows),
        "file2": (199, bars["file2"].num_rows),
    }


def test_odd_lines_are_what_they_were_when_spark_parsed_them(tmp_path: Path) -> None:
    answers = [json.loads(text) for text in ANSWERS.read_text().splitlines()]
    lines = [answer["line"].encode("latin-1") for answer in answers]
    bars, bad = parsed(tmp_path, b"\n".join([HEADER.encode(), *lines]) + b"\n")
    rows = iter(bars)
    for number, answer in enumerate(answers, 2):
        found = bad.get(number) or as_recorded(next(rows))
        assert found == (answer.get("reason") or answer["bar"]), answer["line"]


def as_recorded(bar: tuple[Any, ...]) -> list[Any]:
    shown = {"date": str, "double": repr}
    return [shown.get(column.type, lambda value: value)(value) for column, value in zip(COLUMNS, bar, strict=True)]


def test_a_line_of_any_length_is_cut_off_and_its_neighbours_are_bars(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parsing, "RANGE_BYTES", 1 << 20)
    monkeypatch.setattr(parsing, "BLOCK_BYTES", 100_000)
    path = tmp_path / "2017.csv"
    giant = "雪" * 2_000_000
    path.write_text("\n".join([HEADER, GOOD, giant, GOOD, "x" * 5000, giant]))
    bars, bad = parsed_rows(path)
    assert len(bars) == 2
    assert [(row["line"], row["reason"]) for row in bad] == [
        (line, "the line is longer than 4096 bytes") for line in (3, 5, 6)
    ]
    assert [len(row["raw"]) for row in bad] == [(1 << 16) // 3, 5000, (1 << 16) // 3]
    assert giant.startswith(bad[0]["raw"])


@pytest.mark.parametrize(("suffix", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_a_file_whose_name_says_that_it_is_compressed_is_decompressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, compress: Any
) -> None:
    monkeypatch.setattr(parsing, "RANGE_BYTES", 100)
    monkeypatch.setattr(parsing, "BLOCK_BYTES", 500)
    path = tmp_path / f"2017.csv{suffix}"
    path.write_bytes(compress("\n".join([HEADER, *[GOOD] * 50, "bad", GOOD]).encode()))
    bars, bad = parsed_rows(path)
    assert len(bars) == 51
    assert [row["line"] for row in bad] == [52]


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


@settings(max_examples=examples(30))
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
def test_no_line_vanishes_and_what_is_valid_is_what_pythons_csv_reads(tmp_path: Path, lines: list[str]) -> None:
    lines = [line.encode("utf-8", "surrogatepass").decode("utf-8", "replace") for line in lines]
    bars, bad = parsed(tmp_path, ("\n".join([HEADER, *lines]) + "\n").encode())
    assert len(bars) + len(bad) == len(lines)
    valid = [line for number, line in enumerate(lines, 2) if number not in bad]
    for bar, line in zip(bars, valid, strict=True):
        fields = next(csv.reader([line.removesuffix("\r")]))
        assert [str(value or "") for value in bar[:5]] == fields[:5]


def test_the_check_digits_agree_with_the_generators() -> None:
    from random import Random

    random = Random(7)
    letters, digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
    isins: list[tuple[str, bool]] = [(isin, True) for isin in ("US0378331005", "CH0011075394", "AU0000XVGZA3")]
    for number in range(3000):
        body = "".join(random.choices(letters, k=2) + random.choices(digits + letters * (number % 2), k=9))
        right = isin_check_digit(body)
        given_digit = random.choice([right, random.choice(digits)])
        isins.append((body + given_digit, given_digit == right))
    texts = pyarrow.array([isin for isin, _ in isins])
    assert check_digits_are_right(texts).tolist() == [right for _, right in isins]
    assert check_digits_are_right(texts.slice(7, 20)).tolist() == [right for _, right in isins[7:27]]
