"""The rules of bars: each broken one is counted, with its keys, and the sound ones stay sound."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import duckdb
import pyarrow
import pytest
from duckdb import DuckDBPyConnection, DuckDBPyRelation

from lake_assets.defs.stocks.bar_rules import RuleResult, check_bars
from lake_assets.defs.stocks.schema import arrow_schema

DAY = date(2017, 7, 28)
SOUND = {"key_is_unique": RuleResult(0), "prices_in_range": RuleResult(0), "volume_not_negative": RuleResult(0)}


def bar(
    isin: str = "DE0007164600",
    day: date = DAY,
    time: str = "08:00",
    start: float | None = 2.0,
    end: float = 2.0,
    volume: float = 1.0,
    trades: int = 1,
) -> tuple[object, ...]:
    """Return a bar between 1 and 3."""
    return (isin, "SAP", "SAP SE", "Common stock", "EUR", 1, day, time, start, 3.0, 1.0, end, volume, trades)


@pytest.fixture
def connection() -> Iterator[DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def bars(connection: DuckDBPyConnection, *rows: tuple[object, ...]) -> DuckDBPyRelation:
    names = arrow_schema().names
    table = pyarrow.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows], arrow_schema())
    return connection.from_arrow(table)


def test_bars_of_every_minute_hour_day_and_security_are_sound(connection: DuckDBPyConnection) -> None:
    rows = [
        bar(isin, day, f"{hour:02}:{minute:02}")
        for isin in ("DE0007164600", "CH0011075394")
        for day in (DAY, date(2017, 7, 27))
        for hour in (8, 9)
        for minute in range(60)
    ]
    assert check_bars(bars(connection, *rows)) == SOUND


def test_no_bars_are_sound(connection: DuckDBPyConnection) -> None:
    assert check_bars(bars(connection)) == SOUND


def test_rows_that_share_a_key_are_counted_and_named(connection: DuckDBPyConnection) -> None:
    rows = [bar(), bar(start=1.5), bar(), bar(time="08:01"), bar(time="09:00"), bar(time="09:00")]
    result = check_bars(bars(connection, *rows))
    assert result["key_is_unique"] == RuleResult(3, ("DE0007164600 2017-07-28 08:00", "DE0007164600 2017-07-28 09:00"))
    assert not result["key_is_unique"].passed


def test_a_time_that_is_no_minute_is_told_apart_by_its_text(connection: DuckDBPyConnection) -> None:
    rows = [bar(time="08:00"), bar(time="08:64"), bar(time="08:0"), bar(time="08:00:30"), bar(time="noon")]
    assert check_bars(bars(connection, *rows)) == SOUND


def test_prices_out_of_range_and_negative_numbers_are_counted(connection: DuckDBPyConnection) -> None:
    rows = [
        bar(time="08:00", start=4.0),
        bar(time="08:01", end=0.5),
        bar(time="08:02", start=float("nan")),
        bar(time="08:03", start=None),
        bar(time="08:04", volume=-1.0),
        bar(time="08:05", trades=-1),
        bar(time="08:06"),
    ]
    result = check_bars(bars(connection, *rows))
    assert result["key_is_unique"].passed
    assert result["prices_in_range"].bad == 4
    assert result["volume_not_negative"] == RuleResult(
        2, ("DE0007164600 2017-07-28 08:04", "DE0007164600 2017-07-28 08:05")
    )
