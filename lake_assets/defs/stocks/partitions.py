"""Hourly partitions. Each is one file of the exchange's public data set."""

from __future__ import annotations

from datetime import datetime

from dagster import HourlyPartitionsDefinition

# The data set begins on this day.
HOURS = HourlyPartitionsDefinition(start_date="2017-06-17-00:00")


def hour_of(key: str) -> datetime:
    """Return the start of a partition, as a time in UTC."""
    return HOURS.time_window_for_partition_key(key).start


def partition_key(hour: datetime) -> str:
    """Return the partition key of an hour."""
    return hour.strftime(HOURS.fmt)
