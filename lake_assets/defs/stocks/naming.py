"""The exchange's file names. There is one file for each hour."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone

LAYOUT = "{date}/{date}_BINS_XETR{hour}.csv"
"""The publisher's layout below a base."""


def partition_hour(hour: datetime) -> datetime:
    """Return the hour in UTC.

    Parameters
    ----------
    hour
        An aware time.

    Raises
    ------
    ValueError
        The time has no time zone, or is not a whole hour.
    """
    if hour.tzinfo is None:
        raise ValueError(f"{hour.isoformat()} has no time zone: give the hour in UTC")
    hour = hour.astimezone(timezone.utc)
    if hour != hour.replace(minute=0, second=0, microsecond=0):
        raise ValueError(f"{hour.isoformat()} is not a whole hour: each file contains one hour")
    return hour


class HourlyFiles:
    """Files named by ``{date}`` and ``{hour}`` in UTC. The key is a whole hour with a time zone."""

    source = "stocks source"
    layout = LAYOUT
    placeholders: Mapping[str, str] = {"date": "[0-9]{4}-[0-9]{2}-[0-9]{2}", "hour": "[0-9]{2}"}

    def values(self, key: datetime) -> Mapping[str, str]:
        """Return date and hour, in UTC."""
        hour = partition_hour(key)
        return {"date": hour.date().isoformat(), "hour": f"{hour.hour:02d}"}

    def key(self, values: Mapping[str, str]) -> datetime | None:
        """Return the hour, or None for a date or hour that does not exist."""
        if values["hour"] > "23":
            return None
        try:
            return datetime.fromisoformat(f"{values['date']}T{values['hour']}:00:00+00:00")
        except ValueError:
            return None


HOURLY_FILES = HourlyFiles()
