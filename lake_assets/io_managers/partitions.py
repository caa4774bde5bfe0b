"""Partition keys as Hive-style folders: ``2017-07-28-08:00`` is ``day=2017-07-28/hour=08``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta, timezone

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


def _escape(value: str) -> str:
    return "".join(f"%{ord(char):02X}" if char in _ESCAPED else char for char in value)
