"""Partition keys as Hive-style folders: ``2017-07-28-08:00`` is ``day=2017-07-28/hour=08``.

A folder contains the time of its key, in the time zone of the definition, and with the UTC offset if the key has one.
The columns follow from the cron schedule, and not from the length of a window, which changes with daylight saving time.
So all keys of a definition have the same columns.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple
from urllib.parse import unquote

from dagster import (
    MultiPartitionKey,
    MultiPartitionsDefinition,
    PartitionsDefinition,
    TimeWindow,
    TimeWindowPartitionsDefinition,
)

from lake_assets._dagster import CroniterShim, dst_safe_strptime, get_timezone
from lake_assets.frames.hive_folders import ESCAPED, PartitionValues, folder

_LONGEST = 255
"""The longest folder name, in bytes, that file systems accept."""
_NULL = "__HIVE_DEFAULT_PARTITION__"
"""The partition value that engines read as null."""

_UTC = frozenset({"utc", "uct", "gmt", "zulu", "universal", "greenwich"})
_HOUR = re.compile(r"(?P<hour>\d\d)(?P<minute>\d\d)?(?P<offset>[+-]\d{4,6})?")


class PartitionKeyError(ValueError):
    """A partition key or dimension name that cannot be a folder's name."""


def partition_columns(definition: PartitionsDefinition[str], key: str) -> PartitionValues:
    """Return the partition columns of a key, with their values.

    - A time window has the column ``day``: the day of its start, in the time zone of the definition.
    - If several windows may start on one day, it also has ``hour``. If several may start in one hour, it also has
      ``minute``. The hour has a UTC offset if the key has one: ``02+0100`` is the second hour 02 on the day when
      daylight saving time ends.
    - A multi-partition key has one column per dimension.
    - Any other key has the column ``partition``.

    Parameters
    ----------
    definition
        The partitions definition.
    key
        Partition key.

    Raises
    ------
    PartitionKeyError
        The key cannot be a folder's name.
    """
    if isinstance(definition, TimeWindowPartitionsDefinition):
        return _time_columns(definition, key)
    if isinstance(definition, MultiPartitionsDefinition):
        multi = key if isinstance(key, MultiPartitionKey) else definition.get_partition_key_from_str(key)
        return _checked(key, dict(sorted(multi.keys_by_dimension.items())))
    return _checked(key, {"partition": key})


def column_names(definition: PartitionsDefinition[str]) -> list[str]:
    """Return the names of the partition columns of a definition, outermost folder first.

    Parameters
    ----------
    definition
        The partitions definition.
    """
    if isinstance(definition, TimeWindowPartitionsDefinition):
        cadence = _cadence(definition)
        return ["day", *["hour"] * cadence.hours, *["minute"] * cadence.minutes]
    if isinstance(definition, MultiPartitionsDefinition):
        return sorted(definition.partition_dimension_names)
    return ["partition"]


def windows_of(definition: PartitionsDefinition[str] | None) -> str:
    """Return the time windows of a definition: cron schedule and time zone; empty if it has no time windows.

    They tell apart definitions with folders of the same names, such as a weekly and a daily one.

    Parameters
    ----------
    definition
        The partitions definition; None for an unpartitioned asset.
    """
    if isinstance(definition, TimeWindowPartitionsDefinition):
        zone = "UTC" if _is_utc(definition.timezone) else definition.timezone
        return f"{definition.cron_schedule} {zone}"
    if isinstance(definition, MultiPartitionsDefinition):
        parts = ((part.name, windows_of(part.partitions_def)) for part in definition.partitions_defs)
        return ", ".join(f"{name}: {windows}" for name, windows in sorted(parts) if windows)
    return ""


def _is_utc(zone: str) -> bool:
    return zone.lower().removeprefix("etc/") in _UTC


def folders(definition: PartitionsDefinition[str], keys: Iterable[str]) -> dict[str, str]:
    """Return the folder of each partition key.

    Parameters
    ----------
    definition
        The partitions definition.
    keys
        The partition keys.
    """
    return {key: folder(partition_columns(definition, key)) for key in keys}


def partition_key_of(definition: PartitionsDefinition[str], place: str) -> str | None:
    """Return the partition key of a folder; None if the folder belongs to no partition.

    Parameters
    ----------
    definition
        The partitions definition.
    place
        The folder below the asset's.
    """
    columns = {unquote(name): unquote(value) for name, _, value in (part.partition("=") for part in place.split("/"))}
    try:
        candidates = list(_keys(definition, columns))
        return next((key for key in candidates if folder(partition_columns(definition, key)) == place), None)
    except (KeyError, ValueError):
        return None


def _keys(definition: PartitionsDefinition[str], columns: PartitionValues) -> Iterator[str]:
    """Yield the keys that may have these partition columns."""
    if isinstance(definition, TimeWindowPartitionsDefinition):
        yield from _time_keys(definition, columns)
    elif isinstance(definition, MultiPartitionsDefinition):
        yield MultiPartitionKey({part.name: columns[part.name] for part in definition.partitions_defs})
    else:
        yield columns["partition"]


class _Cadence(NamedTuple):
    """Whether several windows may start on one day, and in one hour; and the minute, if it is always the same."""

    hours: bool
    minutes: bool
    minute: int


def _cadence(definition: TimeWindowPartitionsDefinition) -> _Cadence:
    fields: Any = CroniterShim.expand(definition.cron_schedule)[0]
    minutes, hours = (field == ["*"] or len(field) > 1 for field in fields[:2])
    return _Cadence(hours or minutes, minutes, 0 if minutes else fields[0][0])


def _time_columns(definition: TimeWindowPartitionsDefinition, key: str) -> PartitionValues:
    start = definition.time_window_for_partition_key(key).start
    offset = _has_offset(definition, key)
    if _spelled(definition, start, offset) != key:
        # Near a change of the clocks Dagster may return the next window. But two keys must not share a folder.
        start = dst_safe_strptime(key, definition.timezone, definition.fmt)
    cadence = _cadence(definition)
    columns = {"day": start.date().isoformat()}
    if cadence.hours:
        # After the clocks changed by half an hour, Dagster's hours begin half an hour later.
        minute = "" if cadence.minutes or start.minute == cadence.minute else f"{start:%M}"
        shows_offset = offset and not _is_utc(definition.timezone)
        columns["hour"] = f"{start:%H}{minute}" + (f"{start:%z}" if shows_offset else "")
    if cadence.minutes:
        columns["minute"] = f"{start:%M}"
    return columns


def _time_keys(definition: TimeWindowPartitionsDefinition, columns: PartitionValues) -> Iterator[str]:
    cadence = _cadence(definition)
    zone = get_timezone(definition.timezone)
    hour = _HOUR.fullmatch(columns["hour"] if cadence.hours else "00")
    if hour is None:
        return
    minute = hour["minute"] or columns.get("minute", "00")
    start = datetime.strptime(f"{columns['day']} {hour['hour']}:{minute}", "%Y-%m-%d %H:%M").replace(tzinfo=zone)
    if hour["offset"] is not None:
        start = start.replace(tzinfo=datetime.strptime(hour["offset"], "%z").tzinfo).astimezone(zone)
    if hour["minute"] is not None:
        yield _spelled(definition, start, hour["offset"] is not None)
        return
    # At a change of the clocks, a local time may exist twice or not at all. Try both readings, each in UTC.
    moments = {start.timestamp(), start.replace(fold=1).timestamp()} if hour["offset"] is None else {start.timestamp()}
    span = timedelta(minutes=1) if cadence.minutes else timedelta(hours=1) if cadence.hours else timedelta(days=2)
    for moment in sorted(moments):
        # Use UTC: two local times that differ only in `fold` are equal, and Dagster caches its answer by the window.
        window = (datetime.fromtimestamp(time, timezone.utc) for time in (moment, moment + span.total_seconds()))
        yield from definition.get_partition_keys_in_time_window(TimeWindow(*window))


def _has_offset(definition: TimeWindowPartitionsDefinition, key: str) -> bool:
    """Return whether a key has a UTC offset: by the definition's format, or because its local hour exists twice."""
    if "%z" in definition.fmt:
        return True
    try:
        datetime.strptime(key, definition.fmt)
    except ValueError:
        return True
    return False


def _spelled(definition: TimeWindowPartitionsDefinition, start: datetime, offset: bool) -> str:
    appended = "%z" if offset and "%z" not in definition.fmt else ""
    return start.strftime(definition.fmt + appended)


def _checked(key: str, columns: PartitionValues) -> PartitionValues:
    for name, value in columns.items():
        problem = _problem(name, value)
        if problem:
            raise PartitionKeyError(f"partition key {str(key)!r} cannot be a folder: {problem}")
    return columns


def _problem(name: str, value: str) -> str | None:
    if not value:
        return f"its {name} is empty; give it a name"
    if value == _NULL:
        return f"engines read {_NULL} as null; give it another name"
    if name.startswith(("_", ".")):
        return f"engines ignore folders that begin with {name[0]!r}; rename the dimension {name!r}"
    for text in (name, value):
        if "\0" in text or any(unicodedata.category(char) in ("Cc", "Cs") and char not in ESCAPED for char in text):
            return f"{text!r} has control characters or unpaired surrogates; leave them out"
    if len(folder({name: value}).encode()) > _LONGEST:
        return f"a folder's name can have {_LONGEST} bytes, and {name}=… would have more; give it a shorter name"
    return None
