"""Batches of users. Each is one file, and is registered when it is first seen."""

from __future__ import annotations

from dagster import DynamicPartitionsDefinition

from lake_assets.layout.partitions import PartitionKeyError, partition_columns

BATCHES_NAME = "users_batches"
BATCHES = DynamicPartitionsDefinition(name=BATCHES_NAME)


def unusable(name: str) -> str | None:
    """Return why a name cannot be that of a batch. None if it can."""
    if not name or "..." in name or not name.isprintable():
        return "Dagster does not allow this partition key"
    try:
        partition_columns(BATCHES, name)
    except PartitionKeyError as error:
        return str(error)
    return None
