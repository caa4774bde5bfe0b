"""Hive-style folders: a partition's columns in a path, such as ``day=2017-07-28/hour=08``."""

from __future__ import annotations

from collections.abc import Mapping

PartitionValues = Mapping[str, str]
"""Partition column to its value, outermost folder first."""

# What Spark escapes in a partition folder's name (ExternalCatalogUtils.charToEscape), so that both agree.
ESCAPED = frozenset("\"#%'*/:=?\\\x7f{[]^") | {chr(code) for code in range(0x20)}


def folder(columns: PartitionValues) -> str:
    """Return the Hive-style folder of one partition, escaped as Spark does it."""
    return "/".join(f"{escape(name)}={escape(value)}" for name, value in columns.items())


def escape(value: str) -> str:
    """Return a name or value, escaped for a folder's name."""
    return "".join(f"%{ord(char):02X}" if char in ESCAPED else char for char in value)
