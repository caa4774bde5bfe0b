"""Stock files for a day of the tests' own: the exchange's where they are, generated ones elsewhere."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from lake_assets.defs.stocks.generator import generate
from lake_assets_tests.conftest import REPOSITORY_ROOT

REAL = REPOSITORY_ROOT.parent / "shared" / "data" / "xetra" / "2017-07-28"
HOURS = ("06", "08", "09", "19")


def add_day(source: Path, day: str, hours: Iterable[str] = HOURS) -> None:
    """Write one day's files below `source`."""
    for hour in hours:
        file = file_of(source, day, hour)
        file.parent.mkdir(parents=True, exist_ok=True)
        real = REAL / f"2017-07-28_BINS_XETR{hour}.csv"
        if real.is_file():
            file.write_bytes(real.read_bytes().replace(b"2017-07-28", day.encode()))
        else:
            start = datetime.fromisoformat(f"{day}T{hour}:00").replace(tzinfo=timezone.utc)
            file.write_bytes(b"".join(generate(start, 1000)))


def spoil_header(source: Path, day: str, hour: str) -> None:
    """Make a file one of another delimiter, as a publisher's mistake would."""
    file = file_of(source, day, hour)
    file.write_text(file.read_text().replace(",", ";", 5))


def file_of(source: Path, day: str, hour: str) -> Path:
    """Return where the publisher has that hour."""
    return source / day / f"{day}_BINS_XETR{hour}.csv"


def rows_of(source: Path, day: str, hour: str) -> list[dict[str, Any]]:
    """Return a file's rows as Python's csv module reads them."""
    with file_of(source, day, hour).open(newline="") as file:
        return list(csv.DictReader(file))
