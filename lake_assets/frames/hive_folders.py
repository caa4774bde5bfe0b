"""Hive-style folders: partition columns in a path, such as ``day=2017-07-28/hour=08``."""

from __future__ import annotations

from collections.abc import Mapping

PartitionValues = Mapping[str, str]
"""Partition column to its value, outermost folder first."""

# The characters that Spark escapes in the name of a partition folder (ExternalCatalogUtils.charToEscape).
ESCAPED = frozenset("\"#%'*/:=?\\\x7f{[]^") | {chr(code) for code in range(0x20)}


def folder(columns: PartitionValues) -> str:
    """Return the Hive-style folder of a partition, escaped as Spark does it.

    Parameters
    ----------
    columns
        The partition columns, with their values.
    """
    return "/".join(f"{escape(name)}={escape(value)}" for name, value in columns.items())


def escape(value: str) -> str:
    """Escape a column name or value for the name of a folder.

    Parameters
    ----------
    value
        The name or value.
    """
    return "".join(f"%{ord(char):02X}" if char in ESCAPED else char for char in value)
