from __future__ import annotations

import hashlib
import os
import time
from datetime import datetime, timezone
from pathlib import Path
from threading import Event, Thread

import pytest

from lake_assets.defs.stocks.source import open_source
from lake_assets.sources import (
    RetryLimits,
    Source,
    SourceError,
    SourceFileMissing,
    SourceUnavailable,
)

from .conftest import BODY, HOUR, NAME

Stocks = Source[datetime]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    file = tmp_path / "source" / NAME
    file.parent.mkdir(parents=True)
    file.write_bytes(BODY)
    return tmp_path / "source"


@pytest.fixture
def source(folder: Path, quick: RetryLimits) -> Stocks:
    return open_source(str(folder), limits=quick)


def test_a_file_is_copied_byte_for_byte_and_described(source: Stocks, folder: Path, into: Path) -> None:
    fetched = source.fetch(HOUR, into)
    assert fetched.path == into / "2017-07-28_BINS_XETR08.csv"
    assert fetched.path.read_bytes() == BODY
    assert (fetched.size, fetched.rows) == (len(BODY), 3)
    assert fetched.sha256 == hashlib.sha256(BODY).hexdigest()
    assert fetched.url == (folder / NAME).as_uri() == source.url(HOUR)
    head = source.head(HOUR)
    assert head is not None
    assert fetched.etag == head.etag


def test_the_real_files_have_the_rows_that_their_readme_counts(xetra: Path, into: Path) -> None:
    source = open_source(str(xetra))
    rows = {hour: source.fetch(HOUR.replace(hour=hour), into).rows for hour in (6, 8, 9, 19)}
    assert rows == {6: 0, 8: 7531, 9: 7267, 19: 52}
    listed = source.files()
    assert listed is not None
    assert [hour.hour for hour, _ in listed] == [6, 8, 9, 19]


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        (b"", 0),
        (b"header", 0),
        (b"header\n", 0),
        (b"header\na", 1),
        (b"header\na\n", 1),
        (b"header\r\na\r\nb", 2),
    ],
)
def test_rows_are_the_lines_after_the_header_with_or_without_the_last_newline(
    source: Stocks, folder: Path, into: Path, body: bytes, rows: int
) -> None:
    (folder / NAME).write_bytes(body)
    assert source.fetch(HOUR, into).rows == rows


def test_a_missing_file_is_named_and_leaves_nothing(source: Stocks, into: Path) -> None:
    hour = HOUR.replace(hour=9)
    assert source.head(hour) is None
    with pytest.raises(SourceFileMissing, match="XETR09"):
        source.fetch(hour, into)
    assert list(into.iterdir()) == []


def test_a_version_stays_while_the_file_does_and_changes_with_it(source: Stocks, folder: Path) -> None:
    def version() -> str:
        head = source.head(HOUR)
        assert head is not None
        return head.version

    first = version()
    assert version() == first
    file = folder / NAME
    file.write_bytes(BODY.replace(b"ZFIN", b"ZFIX"))
    os.utime(file, ns=(0, 1))
    second = version()
    replacement = folder / "new"
    replacement.write_bytes(BODY)
    os.utime(replacement, ns=(0, 1))
    replacement.replace(file)
    assert len({first, second, version()}) == 3


@pytest.mark.parametrize("seconds", [253_402_300_800, -(2**36)])
def test_one_file_of_a_wrong_clock_hides_no_other(source: Stocks, folder: Path, seconds: int) -> None:
    (folder / NAME.replace("XETR08", "XETR09")).write_bytes(BODY)
    os.utime(folder / NAME, (seconds, seconds))  # Where the file system holds such times, as tmpfs does.
    assert [hour.hour for hour, _ in source.files() or ()] == [8, 9]
    assert source.head(HOUR) is not None


def test_a_file_that_is_being_written_is_not_taken(source: Stocks, folder: Path, into: Path) -> None:
    file = folder / NAME
    file.write_bytes(BODY * 100_000)
    started, stop = Event(), Event()

    def write_on() -> None:
        with file.open("ab", buffering=0) as growing:
            while not stop.wait(0.0005):
                growing.write(BODY)
                started.set()

    writer = Thread(target=write_on)
    writer.start()
    try:
        assert started.wait(10)
        with pytest.raises(SourceUnavailable, match=r"changed while it was being copied.*gave up after 3 tries"):
            source.fetch(HOUR, into)
    finally:
        stop.set()
        writer.join()
    assert list(into.iterdir()) == []
    assert source.fetch(HOUR, into).size == file.stat().st_size


def test_a_folder_where_the_file_should_be_is_refused(source: Stocks, folder: Path, into: Path) -> None:
    (folder / NAME).unlink()
    (folder / NAME).mkdir()
    with pytest.raises(SourceError, match="is not a file"):
        source.fetch(HOUR, into)
    assert list(source.files() or ()) == []


def test_ten_thousand_files_are_listed_in_order_in_under_a_second_of_work(folder: Path, quick: RetryLimits) -> None:
    start = datetime(2016, 1, 1, tzinfo=timezone.utc).timestamp()
    hours = [datetime.fromtimestamp(start + 3600 * number, timezone.utc) for number in range(10_000)]
    for hour in hours:
        day = folder / hour.date().isoformat()
        day.mkdir(exist_ok=True)
        (day / f"{day.name}_BINS_XETR{hour.hour:02d}.csv").touch()
        if hour.hour == 0:
            (day / "README.txt").touch()
            (folder / f"other-{day.name}").mkdir()
            (day / f"2001-01-01_BINS_XETR{hour.hour:02d}.csv").touch()
    before = time.process_time()
    listed = list(open_source(str(folder), limits=quick).files() or ())
    assert time.process_time() - before < 1
    assert [hour for hour, _ in listed] == [*hours, HOUR]
    assert listed[-1][1] == open_source(str(folder)).head(HOUR)


def test_a_template_is_listed_by_its_hours_whatever_its_order(tmp_path: Path) -> None:
    for name in ("09/b-2017-07-27.csv", "08/b-2017-07-28.csv", "08/b-2017-07-27.txt", "xx/b-2017-07-28.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    listed = open_source(str(tmp_path / "{hour}" / "b-{date}.csv")).files()
    assert [hour.isoformat()[:13] for hour, _ in listed or ()] == ["2017-07-27T09", "2017-07-28T08"]


def test_a_base_that_does_not_exist_is_an_error_and_no_empty_list(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such folder"):
        open_source(str(tmp_path / "nowhere")).files()


def test_a_file_url_may_hold_blanks_and_percent_signs(tmp_path: Path, into: Path) -> None:
    file = tmp_path / "50 % of it?" / NAME
    file.parent.mkdir(parents=True)
    file.write_bytes(BODY)
    base = (tmp_path / "50 % of it?").as_uri()
    assert open_source(base).fetch(HOUR, into).size == len(BODY)
    assert open_source(f"{base}/{{date}}/{{date}}_BINS_XETR{{hour}}.csv").head(HOUR) is not None
