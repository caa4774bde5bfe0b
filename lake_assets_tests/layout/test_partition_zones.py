"""Folders of time windows in every zone, above all where the clocks change."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from dagster import (
    DailyPartitionsDefinition,
    HourlyPartitionsDefinition,
    MonthlyPartitionsDefinition,
    MultiPartitionsDefinition,
    PartitionKeyRange,
    StaticPartitionsDefinition,
    TimeWindowPartitionsDefinition,
    WeeklyPartitionsDefinition,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lake_assets.layout.partitions import folders, partition_key_of
from lake_assets_tests.depth import examples

MINUTES = "%Y-%m-%d-%H:%M"
# Cron schedule, format, and days after a change of the clocks that are looked at.
CADENCES = [
    ("0 * * * *", MINUTES, 2),
    ("@hourly", "%Y%m%dT%H%M", 2),
    ("30 * * * *", MINUTES, 2),
    ("0 * * * *", MINUTES + "%z", 2),
    ("*/15 * * * *", MINUTES, 2),
    ("*/7 * * * *", MINUTES, 2),
    ("0,30 2 * * *", MINUTES, 2),
    ("0 */2 * * *", MINUTES, 2),
    ("0 0,1 * * *", MINUTES, 2),
    ("30 9-17 * * 1-5", MINUTES, 2),
    ("0 0 * * *", "%Y-%m-%d", 400),
    ("30 2 * * *", "%Y-%m-%d", 400),
    ("30 2 * * *", "%d.%m.%Y", 400),
    ("0 0 * * *", "%Y-%m-%d%z", 400),
    ("0 0 * * 0", "%Y-%m-%d", 400),
    ("0 5 15 * *", "%Y-%m", 400),
    ("0 0 1 */3 *", "%Y-%m-%d", 400),
]
ZONES = sorted(
    zone for zone in available_timezones() if "/" in zone and not zone.startswith(("posix", "right", "System"))
)


def changes_of(zone: str, year: int) -> list[datetime]:
    """Return the days of a year on which a zone changes its clocks; any day where it never does."""
    days = [datetime(year, 1, 1, 12, tzinfo=timezone.utc) + timedelta(days=day) for day in range(366)]
    offsets = [day.astimezone(ZoneInfo(zone)).utcoffset() for day in days]
    changes = [day for day, (before, after) in zip(days, pairwise(offsets), strict=False) if before != after]
    return changes or [datetime(year, 6, 15, tzinfo=timezone.utc)]


def check(definition: TimeWindowPartitionsDefinition, keys: list[str]) -> None:
    """Hold keys of one definition against what must be so of their folders."""
    places = folders(definition, keys)
    assert len(set(places.values())) == len(set(keys)), "two keys share a folder"
    assert len({place.count("/") for place in places.values()}) == 1, "not the same number of levels"
    for key, place in places.items():
        assert partition_key_of(definition, place) == key


@given(st.sampled_from(ZONES), st.sampled_from(CADENCES), st.integers(1975, 2035), st.integers(0, 1), st.booleans())
@example("Australia/Lord_Howe", CADENCES[0], 2024, 0, True)
@example("Australia/Lord_Howe", CADENCES[2], 2024, 0, True)
@example("Australia/Lord_Howe", CADENCES[4], 2024, 1, False)
@example("Europe/Berlin", CADENCES[6], 2024, 1, False)
@example("America/Sao_Paulo", CADENCES[10], 2018, 1, False)
@example("Pacific/Apia", CADENCES[0], 2011, 1, False)
@settings(max_examples=examples(40))
def test_distinct_keys_have_distinct_folders_of_one_depth_that_lead_back(
    zone: str, cadence: tuple[str, str, int], year: int, which: int, from_long_before: bool
) -> None:
    cron, fmt, after = cadence
    change = changes_of(zone, year)[:2][which - 1]
    start = change - timedelta(days=40 if from_long_before else 2)
    definition = TimeWindowPartitionsDefinition(start.replace(tzinfo=None), fmt, cron_schedule=cron, timezone=zone)
    keys = definition.get_partition_keys(current_time=change + timedelta(days=after))
    check(definition, list(keys[-100:]))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns", "Asia/Kathmandu"])
@pytest.mark.parametrize("cron", ["0 * * * *", "*/30 * * * *", "0 */6 * * *"])
def test_a_range_over_a_change_is_its_keys(zone: str, cron: str) -> None:
    for change in changes_of(zone, 2024):
        start = (change - timedelta(days=2)).astimezone(ZoneInfo(zone)).replace(hour=0, tzinfo=None)
        definition = TimeWindowPartitionsDefinition(start, MINUTES, cron_schedule=cron, timezone=zone)
        keys = definition.get_partition_keys(current_time=change + timedelta(days=2))
        check(definition, list(definition.get_partition_keys_in_range(PartitionKeyRange(keys[0], keys[-1]))))


def test_a_folder_spells_its_key() -> None:
    hourly = HourlyPartitionsDefinition("2024-01-01-00:00", timezone="Europe/Berlin")
    keys = ["2024-10-27-01:00", "2024-10-27-02:00", "2024-10-27-02:00+0100", "2024-10-27-03:00"]
    day = "day=2024-10-27/hour="
    assert [*folders(hourly, keys).values()] == [f"{day}01", f"{day}02", f"{day}02+0100", f"{day}03"]
    halves = TimeWindowPartitionsDefinition(
        "2024-01-01-00:00", MINUTES, cron_schedule="*/30 * * * *", timezone="Australia/Lord_Howe"
    )
    place = folders(halves, ["2024-04-07-01:30+1030"])
    assert [*place.values()] == ["day=2024-04-07/hour=01+1030/minute=30"]
    kolkata = HourlyPartitionsDefinition("2024-01-01-00:00", timezone="Asia/Kolkata")
    assert [*folders(kolkata, ["2024-01-02-00:00"]).values()] == ["day=2024-01-02/hour=00"]
    for zone in ("Europe/Berlin", "America/New_York", "Pacific/Kiritimati", "Asia/Kolkata"):
        for definition, place in (
            (DailyPartitionsDefinition("2024-01-01", timezone=zone), "day=2024-03-31"),
            (WeeklyPartitionsDefinition("2024-01-01", timezone=zone), "day=2024-03-31"),
            (MonthlyPartitionsDefinition("2024-01-31", day_offset=31, timezone=zone), "day=2024-03-31"),
        ):
            assert [*folders(definition, ["2024-03-31"]).values()] == [place]


def test_offsets_stand_where_the_keys_have_them_and_never_in_utc() -> None:
    def place(zone: str) -> str:
        definition = TimeWindowPartitionsDefinition(
            "2024-01-01-00:00+0000", MINUTES + "%z", cron_schedule="0 * * * *", timezone=zone
        )
        key = next(iter(definition.get_partition_keys(current_time=datetime(2024, 2, 1))))
        assert partition_key_of(definition, folders(definition, [key])[key]) == key
        return folders(definition, [key])[key]

    assert place("Europe/Berlin") == "day=2024-01-01/hour=01+0100"
    assert place("UTC") == place("Etc/UTC") == "day=2024-01-01/hour=00"


def test_a_time_beside_another_dimension_stands_there_as_its_key() -> None:
    hours = HourlyPartitionsDefinition("2024-10-26-00:00", timezone="Europe/Berlin")
    definition = MultiPartitionsDefinition({"at": hours, "where": StaticPartitionsDefinition(["a"])})
    places = folders(definition, definition.get_partition_keys(current_time=datetime(2024, 10, 27, 4)))
    for key, place in places.items():
        assert partition_key_of(definition, place) == key
    assert places["2024-10-27-02:00+0100|a"] == "at=2024-10-27-02%3A00+0100/where=a"


@pytest.mark.parametrize(
    ("definition", "key", "place"),
    [
        (HourlyPartitionsDefinition("2017-06-17-00:00"), "2017-07-28-08:00", "day=2017-07-28/hour=08"),
        (
            HourlyPartitionsDefinition("2017-06-17-00:30", minute_offset=30),
            "2017-07-28-08:30",
            "day=2017-07-28/hour=08",
        ),
        (DailyPartitionsDefinition("2017-06-17", hour_offset=7), "2017-07-28", "day=2017-07-28"),
        (WeeklyPartitionsDefinition("2017-06-17"), "2017-07-30", "day=2017-07-30"),
        (MonthlyPartitionsDefinition("2017-06", fmt="%Y-%m", day_offset=15), "2017-07", "day=2017-07-15"),
        (
            TimeWindowPartitionsDefinition("2017-06-17-00:00", MINUTES, cron_schedule="*/20 * * * *"),
            "2017-07-28-08:40",
            "day=2017-07-28/hour=08/minute=40",
        ),
        (
            TimeWindowPartitionsDefinition("2017-06-17-00:00", MINUTES, cron_schedule="0 8,20 * * *"),
            "2017-07-28-20:00",
            "day=2017-07-28/hour=20",
        ),
    ],
)
def test_folders_in_utc_are_what_they_always_were(
    definition: TimeWindowPartitionsDefinition, key: str, place: str
) -> None:
    assert folders(definition, [key]) == {key: place}
    assert partition_key_of(definition, place) == key
