"""Partition keys as Hive-style folders: ``2017-07-28-08:00`` is ``day=2017-07-28/hour=08``.

A folder spells its key: a time in the definition's own zone, with the UTC offset where the key has one. Engines take
wall-clock times apart at the end of summer time no better than people do, so a window is never measured here: which
columns there are follows from the cron schedule, and so all keys of a definition have the same.
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
from dagster._time import dst_safe_strptime, get_timezone
from dagster._utils.schedules import CroniterShim

from lake_assets.frames.hive_folders import ESCAPED, PartitionValues, folder

_LONGEST = 255
"""Bytes of a folder's name that file systems take."""
_NULL = "__HIVE_DEFAULT_PARTITION__"
"""What engines read as null in a folder's name."""

_UTC = frozenset({"utc", "uct", "gmt", "zulu", "universal", "greenwich"})
_HOUR = re.compile(r"(?P<hour>\d\d)(?P<minute>\d\d)?(?P<offset>[+-]\d{4,6})?")


class PartitionKeyError(ValueError):
    """A partition key, or a dimension's name, that no folder can spell."""


def partition_columns(definition: PartitionsDefinition[str], key: str) -> PartitionValues:
    """Return a partition's columns.

    A time window has the ``day`` of its start and, where several start on one day, ``hour`` and, within one hour,
    ``minute``, in the zone of the definition. The hour has the offset that the key has: ``02+0100`` is the second
    one at the end of summer time. A multi-partition has one column a dimension; any other key stands in ``partition``.

    Raises
    ------
    PartitionKeyError
        No folder can spell this key.
    """
    if isinstance(definition, TimeWindowPartitionsDefinition):
        return _time_columns(definition, key)
    if isinstance(definition, MultiPartitionsDefinition):
        multi = key if isinstance(key, MultiPartitionKey) else definition.get_partition_key_from_str(key)
        return _checked(key, dict(sorted(multi.keys_by_dimension.items())))
    return _checked(key, {"partition": key})


def column_names(definition: PartitionsDefinition[str]) -> list[str]:
    """Return the names of a definition's partition columns, outermost folder first: all its partitions have them."""
    if isinstance(definition, TimeWindowPartitionsDefinition):
        cadence = _cadence(definition)
        return ["day", *["hour"] * cadence.hours, *["minute"] * cadence.minutes]
    if isinstance(definition, MultiPartitionsDefinition):
        return sorted(definition.partition_dimension_names)
    return ["partition"]


def windows_of(definition: PartitionsDefinition[str] | None) -> str:
    """Return the time windows that are a definition's partitions: cron schedule and zone; empty where it has none.

    A weekly and a daily asset have the same folders, and what stands in them is not the same.
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
    """Return partition key to folder."""
    return {key: folder(partition_columns(definition, key)) for key in keys}


def key_of(definition: PartitionsDefinition[str], place: str) -> str | None:
    """Return the partition whose folder this is; None where it is no partition's."""
    columns = {unquote(name): unquote(value) for name, _, value in (part.partition("=") for part in place.split("/"))}
    try:
        candidates = list(_keys(definition, columns))
        return next((key for key in candidates if folder(partition_columns(definition, key)) == place), None)
    except (KeyError, ValueError):
        return None


def _keys(definition: PartitionsDefinition[str], columns: PartitionValues) -> Iterator[str]:
    """Yield the keys that may have these columns."""
    if isinstance(definition, TimeWindowPartitionsDefinition):
        yield from _time_keys(definition, columns)
    elif isinstance(definition, MultiPartitionsDefinition):
        yield MultiPartitionKey({part.name: columns[part.name] for part in definition.partitions_defs})
    else:
        yield columns["partition"]


class _Cadence(NamedTuple):
    """Whether several windows may start on one day and in one hour, and the minute where it is always the same."""

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
        # Near a change of the clocks Dagster may find the next window, and two keys must not share a folder.
        start = dst_safe_strptime(key, definition.timezone, definition.fmt)
    cadence = _cadence(definition)
    columns = {"day": start.date().isoformat()}
    if cadence.hours:
        # Where the clocks change by half an hour, Dagster's hours begin half an hour later from then on.
        minute = "" if cadence.minutes or start.minute == cadence.minute else f"{start:%M}"
        told = offset and not _is_utc(definition.timezone)
        columns["hour"] = f"{start:%H}{minute}" + (f"{start:%z}" if told else "")
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
    # A minute of this name may be there twice or, in a gap, not at all: both readings, each measured in UTC.
    moments = {start.timestamp(), start.replace(fold=1).timestamp()} if hour["offset"] is None else {start.timestamp()}
    span = timedelta(minutes=1) if cadence.minutes else timedelta(hours=1) if cadence.hours else timedelta(days=2)
    for moment in sorted(moments):
        # Not in the zone: two times that differ in their fold alone are equal, and Dagster keeps answers by the window.
        window = (datetime.fromtimestamp(time, timezone.utc) for time in (moment, moment + span.total_seconds()))
        yield from definition.get_partition_keys_in_time_window(TimeWindow(*window))


def _has_offset(definition: TimeWindowPartitionsDefinition, key: str) -> bool:
    """Tell whether a key has its UTC offset: by the definition's format, or as the second of two hours of one name."""
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
        fault = _fault(name, value)
        if fault:
            raise PartitionKeyError(f"partition key {str(key)!r} cannot be a folder: {fault}")
    return columns


def _fault(name: str, value: str) -> str | None:
    if not value:
        return f"its {name} is empty; give it a name"
    if value == _NULL:
        return f"engines read {_NULL} as null; give it another name"
    if name.startswith(("_", ".")):
        return f"engines pass over folders that begin with {name[0]!r}; name the dimension {name!r} otherwise"
    for text in (name, value):
        if "\0" in text or any(unicodedata.category(char) in ("Cc", "Cs") and char not in ESCAPED for char in text):
            return f"{text!r} has characters that no file system keeps; leave out control characters and half ones"
    if len(folder({name: value}).encode()) > _LONGEST:
        return f"a folder's name holds {_LONGEST} bytes, and {name}=… would have more; give it a shorter name"
    return None
