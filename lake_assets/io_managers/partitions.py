"""Partition keys as Hive-style folders: ``2017-07-28-08:00`` is ``day=2017-07-28/hour=08``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from urllib.parse import unquote

from dagster import (
    MultiPartitionKey,
    MultiPartitionsDefinition,
    PartitionsDefinition,
    TimeWindowPartitionsDefinition,
)

Columns = Mapping[str, str]
"""Partition column to its value, outermost folder first."""

# What Spark escapes in a partition folder's name (ExternalCatalogUtils.charToEscape), so that both agree.
_ESCAPED = frozenset("\"#%'*/:=?\\\x7f{[]^") | {chr(code) for code in range(0x20)}


def partition_columns(definition: PartitionsDefinition[str], key: str) -> Columns:
    """Return a partition's columns.

    A time window has ``day`` and, where it is shorter than a day, ``hour`` and ``minute`` of its start in UTC;
    a multi-partition one column a dimension; any other key stands in ``partition``.
    """
    if isinstance(definition, TimeWindowPartitionsDefinition):
        window = definition.time_window_for_partition_key(key)
        start = window.start.astimezone(timezone.utc)
        columns = {"day": f"{start:%Y-%m-%d}"}
        if window.end - window.start < timedelta(hours=23):
            columns["hour"] = f"{start:%H}"
        if window.end - window.start < timedelta(hours=1):
            columns["minute"] = f"{start:%M}"
        return columns
    if isinstance(definition, MultiPartitionsDefinition):
        multi = key if isinstance(key, MultiPartitionKey) else definition.get_partition_key_from_str(key)
        return dict(sorted(multi.keys_by_dimension.items()))
    return {"partition": key}


def folder(columns: Columns) -> str:
    """Return the Hive-style folder of one partition, escaped as Spark does it."""
    return "/".join(f"{name}={_escape(value)}" for name, value in columns.items())


def folders(definition: PartitionsDefinition[str], keys: Iterable[str]) -> dict[str, str]:
    """Return partition key to folder."""
    return {key: folder(partition_columns(definition, key)) for key in keys}


def key_of(definition: PartitionsDefinition[str], place: str) -> str | None:
    """Return the partition whose folder this is; None where it is no partition's."""
    columns = {name: unquote(value) for name, _, value in (part.partition("=") for part in place.split("/"))}
    try:
        key = _key(definition, columns)
        return key if folder(partition_columns(definition, key)) == place else None
    except (KeyError, ValueError):
        return None


def _key(definition: PartitionsDefinition[str], columns: Columns) -> str:
    if isinstance(definition, TimeWindowPartitionsDefinition):
        # The last second of the day, hour or minute: the window around it is the one that began in it.
        moment = f"{columns['day']} {columns.get('hour', '23')}:{columns.get('minute', '59')}:59+0000"
        last = datetime.strptime(moment, "%Y-%m-%d %H:%M:%S%z")
        return definition.get_partition_key_for_timestamp(last.timestamp())
    if isinstance(definition, MultiPartitionsDefinition):
        return MultiPartitionKey({part.name: columns[part.name] for part in definition.partitions_defs})
    return columns["partition"]


def _escape(value: str) -> str:
    return "".join(f"%{ord(char):02X}" if char in _ESCAPED else char for char in value)
