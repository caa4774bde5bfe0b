from __future__ import annotations

import csv
import hashlib
import io
import itertools
import os
import re
import subprocess
import sys
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.defs.stocks import generator
from lake_assets.defs.stocks.generator import generate, is_trading, isin_check_digit
from lake_assets_tests.depth import examples

HOUR = datetime(2017, 7, 28, 8, tzinfo=timezone.utc)

DIGEST = "b8bcf1cec6426680154fd401f1ba71d09676253cde4326fdee42f4c5c4491a17"
DIGEST_BAD = "67e6e3b944a82cbe32c4e6881ca1b3f3a6ba0bc9940d74e40bbee6c5c70b5e0e"
MODULE = "lake_assets.defs.stocks.generator"
trading_hours = (
    st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1))
    .map(lambda moment: moment.replace(minute=0, second=0, microsecond=0, tzinfo=timezone.utc))
    .filter(is_trading)
)
NUMBER = re.compile(r"(0|[1-9][0-9]*)(\.[0-9]*[1-9])?")


def file_of(hour: datetime, rows: int = generator.DEFAULT_ROWS, bad_rows: int = 0) -> bytes:
    return b"".join(generate(hour, rows, bad_rows))


def rows_of(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("ascii"))))


def is_good(line: bytes) -> bool:
    """Whether a line is a row of the format: the schema and the ISIN's check digit, spelled out."""
    try:
        fields = next(csv.reader([line.decode("ascii")]))
    except UnicodeDecodeError:
        return False
    if len(fields) != 14 or b"\0" in line or not fields[0] or isin_check_digit(fields[0][:11]) != fields[0][11:]:
        return False
    try:
        datetime.strptime(f"{fields[6]} {fields[7]}", "%Y-%m-%d %H:%M")
        return all(float(price) >= 0 for price in fields[8:13]) and int(fields[13]) >= 0 and int(fields[5]) > 0
    except ValueError:
        return False


@pytest.mark.parametrize("isin", ["US0378331005", "DE0007164600", "CH0011075394", "AU0000XVGZA3"])
def test_known_isins_have_their_check_digit(isin: str) -> None:
    assert isin_check_digit(isin[:11]) == isin[11]


def test_the_check_digit_of_every_real_isin_is_right(xetra: Path) -> None:
    for file in xetra.glob("*/*.csv"):
        for row in rows_of(file.read_bytes()):
            assert isin_check_digit(row["ISIN"][:11]) == row["ISIN"][11]


@pytest.mark.parametrize("text", ["", "US037833100a", "US03783310", "us037833100", "US03783310É", "US03783310²"])
def test_what_is_no_isin_has_no_check_digit(text: str) -> None:
    with pytest.raises(ValueError, match=r"characters, not 11|not one of 0-9A-Z"):
        isin_check_digit(text)


@settings(max_examples=examples(12))
@given(trading_hours, st.integers(0, 3000), st.integers(0, 60))
def test_any_file_has_its_rows_and_every_good_one_holds_the_invariants(hour: datetime, rows: int, bad: int) -> None:
    header, *lines = file_of(hour, rows, bad).split(b"\n")[:-1]
    assert header + b"\n" == generator.HEADER
    good = [line for line in lines if is_good(line)]
    assert (len(good), len(lines)) == (rows, rows + bad)

    parsed = rows_of(b"\n".join([header, *good]))
    assert len({(row["ISIN"], row["Date"], row["Time"]) for row in parsed}) == rows
    for row in parsed:
        assert row["Date"] == hour.date().isoformat()
        assert row["Time"][:3] == f"{hour.hour:02d}:"
        assert 0 <= int(row["Time"][3:]) < 60
        prices = [row[name] for name in ("MinPrice", "StartPrice", "EndPrice", "MaxPrice")]
        assert all(NUMBER.fullmatch(price) for price in prices)
        low, start, end, high = map(float, prices)
        assert low <= start <= high
        assert low <= end <= high
        assert int(row["TradedVolume"]) >= 0
        assert int(row["NumberOfTrades"]) >= 1


@settings(max_examples=examples(50))
@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(timezone.utc)),
    st.integers(0, 10**9),
)
def test_outside_trading_hours_a_file_is_its_header_whatever_its_rows(moment: datetime, rows: int) -> None:
    hour = moment.replace(minute=0, second=0, microsecond=0)
    closed = hour.weekday() > 4 or not 7 <= hour.hour <= 19
    assert is_trading(hour) is not closed
    if closed:
        assert file_of(hour, rows, 5) == generator.HEADER


def test_a_default_file_looks_like_a_real_one(xetra: Path) -> None:
    real = (xetra / "2017-07-28" / "2017-07-28_BINS_XETR08.csv").read_bytes()
    made = file_of(HOUR)
    assert made.splitlines()[0] == real.splitlines()[0]
    row = re.compile(
        rb'"[A-Z]{2}[0-9A-Z]{9}[0-9]","[0-9A-Z]{3,4}","[^"]{1,25}",'
        rb'"(Common stock|ETF|ETC|ETN|Other)","(EUR|USD)",'
        rb"[0-9]{7},2017-07-28,08:[0-5][0-9](,[0-9]+(\.[0-9]{1,3})?){4},[0-9]+,[0-9]+"
    )
    for content in (real, made):
        assert all(row.fullmatch(line) for line in content.splitlines()[1:])
    rows = rows_of(made)
    assert 600 < len({row["ISIN"] for row in rows}) <= 750
    assert any("," in row["SecurityDesc"] for row in rows)
    assert Counter(row["Currency"] for row in rows)["EUR"] > 0.9 * len(rows)
    assert 0.8 < len(made) / len(real) < 1.25


def test_securities_are_the_same_in_every_hour() -> None:
    columns = ("ISIN", "Mnemonic", "SecurityDesc", "SecurityType", "Currency", "SecurityID")
    seen: dict[str, tuple[str, ...]] = {}
    first = {row["ISIN"] for row in rows_of(file_of(HOUR))}
    for hour in (HOUR, HOUR + timedelta(hours=1), HOUR + timedelta(days=3)):
        for row in rows_of(file_of(hour)):
            about = tuple(row[column] for column in columns)
            assert seen.setdefault(row["ISIN"], about) == about
    assert len(seen) <= 750
    assert first < set(seen), "some securities trade in some hours only"


def test_no_two_securities_share_an_isin_a_mnemonic_or_an_id() -> None:
    identities = [generator._prefix(number, HOUR.date()).split(",") for number in range(70_000)]
    assert len({identity[0] for identity in identities}) == len(identities)
    assert len({identity[1] for identity in identities}) == len(identities)


@given(st.integers(0, 10**8))
def test_more_rows_are_spread_over_more_securities_with_sixty_rows_each_at_most(rows: int) -> None:
    blocks = list(generator._blocks(rows))
    assert sum(block.rows for block in blocks) == rows
    for block, following in itertools.pairwise(blocks):
        assert block.first + block.securities <= following.first
    assert all(block.rows <= 60 * block.securities for block in blocks)


def test_the_two_hashes_are_one() -> None:
    import numpy as np

    values = [0, 1, 7, 2**63, 2**64 - 1]
    assert generator._mix(np.array(values, np.uint64)).tolist() == [generator._mix_one(value) for value in values]


def test_the_bytes_are_these_in_every_process_and_version(tmp_path: Path) -> None:
    """These digests change only together with `VERSION`."""
    assert generator.VERSION == 1
    out = tmp_path / "made.csv"
    command = [sys.executable, "-W", "error", "-m", MODULE, "--date", "2017-07-28", "--hour", "8"]
    command += ["--rows", "10_000", "--bad-rows", "1_00", "--out", str(out)]
    environment = {**os.environ, "PYTHONHASHSEED": "42", "LC_ALL": "C", "TZ": "Asia/Tokyo"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "10,100 rows" in done.stdout
    assert hashlib.sha256(out.read_bytes()).hexdigest() == DIGEST_BAD
    assert hashlib.sha256(file_of(HOUR)).hexdigest() == DIGEST
    assert file_of(HOUR, 10_000, 100) == out.read_bytes()


def test_the_program_refuses_what_it_cannot_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = ["--date", "2017-07-28", "--hour", "8", "--out", str(tmp_path / "x.csv")]
    for bad in (["--rows", "-1"], ["--hour", "24"], ["--date", "2017-02-30"], ["--bad-rows", "many"]):
        with pytest.raises(SystemExit):
            generator.main([*good, *bad])
        assert bad[0] in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_program_says_when_there_is_no_trading(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generator.main(["--date", "2017-07-29", "--hour", "8", "--out", str(tmp_path / "x.csv")])
    assert "header only" in capsys.readouterr().out
    assert (tmp_path / "x.csv").read_bytes() == generator.HEADER
