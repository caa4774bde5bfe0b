"""A sample of customers, in a database of SQLite."""

from __future__ import annotations

import os
import random
import sqlite3
from datetime import date, datetime, timedelta
from pathlib import Path
from uuid import uuid4

CUSTOMERS = 1000
_COLUMNS = """
CREATE TABLE customers (
    id INTEGER PRIMARY KEY,
    name VARCHAR(80) NOT NULL,
    country CHAR(2) NOT NULL,
    credit_limit DECIMAL(12, 2),
    since DATE NOT NULL,
    updated_at TIMESTAMP NOT NULL
)
"""


def sample_database(folder: Path) -> str:
    """Return the address of the sample, which is made if it is missing.

    Parameters
    ----------
    folder
        The folder of the sample.
    """
    path = folder / "sample.db"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        # Made aside, so that nobody reads a part of it.
        aside = folder / f".{uuid4().hex}"
        connection = sqlite3.connect(aside)
        with connection:
            connection.execute(_COLUMNS)
            connection.executemany("INSERT INTO customers VALUES (?, ?, ?, ?, ?, ?)", _rows())
        connection.close()
        os.replace(aside, path)  # noqa: PTH105 -- atomic
    return f"sqlite:///{path.absolute()}"


def _rows() -> list[tuple[int, str, str, str, str, str]]:
    pick = random.Random(7)  # noqa: S311 -- the same sample everywhere
    start = datetime(2026, 1, 1)
    return [
        (
            number,
            f"Customer {number}",
            pick.choice(("AT", "CH", "DE", "FR", "NL")),
            f"{pick.randrange(0, 10_000_000) / 100:.2f}",
            (date(2010, 1, 1) + timedelta(days=pick.randrange(5000))).isoformat(),
            (start + timedelta(seconds=pick.randrange(10**7))).isoformat(sep=" "),
        )
        for number in range(1, CUSTOMERS + 1)
    ]
