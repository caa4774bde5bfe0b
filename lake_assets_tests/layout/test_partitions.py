"""Partition keys as folders, and back."""

from __future__ import annotations

from datetime import datetime

import pytest
from dagster import (
    DailyPartitionsDefinition,
    DynamicPartitionsDefinition,
    HourlyPartitionsDefinition,
    MonthlyPartitionsDefinition,
    MultiPartitionsDefinition,
    StaticPartitionsDefinition,
    TimeWindowPartitionsDefinition,
    WeeklyPartitionsDefinition,
)

from lake_assets.frames.hive_folders import folder
from lake_assets.layout.partitions import partition_columns, partition_key_of

ODD = ["a/b", "c=d", "x y%", "Köln"]
TIMES = [
    HourlyPartitionsDefinition("2020-01-01-00:00"),
    DailyPartitionsDefinition("2020-01-01", timezone="Europe/Berlin"),
    DailyPartitionsDefinition("2020-01-01", timezone="America/New_York"),
    WeeklyPartitionsDefinition("2020-01-01"),
    MonthlyPartitionsDefinition("2020-01-01"),
    TimeWindowPartitionsDefinition("2020-01-01-00:00", "%Y-%m-%d-%H:%M", cron_schedule="*/15 * * * *"),
]
NAMED = [StaticPartitionsDefinition(ODD), DynamicPartitionsDefinition(name="batches")]
SEVERAL = MultiPartitionsDefinition({"day": DailyPartitionsDefinition("2020-01-01"), "at": NAMED[0]})


@pytest.mark.parametrize("definition", TIMES)
def test_the_folder_of_a_time_window_leads_back_to_it(definition: TimeWindowPartitionsDefinition) -> None:
    keys = definition.get_partition_keys(current_time=datetime(2020, 4, 1))
    for key in [*keys[:30], *keys[-30:]]:
        assert partition_key_of(definition, folder(partition_columns(definition, key))) == key


def test_the_folder_of_a_named_partition_leads_back_to_it() -> None:
    for definition in NAMED:
        for key in ODD:
            assert partition_key_of(definition, folder(partition_columns(definition, key))) == key
    for key in SEVERAL.get_partition_keys(current_time=datetime(2020, 1, 3)):
        assert partition_key_of(SEVERAL, folder(partition_columns(SEVERAL, key))) == key


@pytest.mark.parametrize("place", ["", "x", "day=soon", "day=2020-02-30", "day=2020-01-01/hour=99", "other=1"])
def test_another_folder_is_no_partitions(place: str) -> None:
    for definition in [*TIMES, *NAMED, SEVERAL]:
        assert partition_key_of(definition, place) is None
