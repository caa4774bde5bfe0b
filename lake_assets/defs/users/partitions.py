"""Batches of users. Each is one file, and is registered when it is first seen."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import TYPE_CHECKING

from dagster import DynamicPartitionsDefinition

from lake_assets.layout.partitions import PartitionKeyError, partition_columns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

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


def one_frame(batches: Mapping[str, DataFrame]) -> DataFrame:
    """Combine the frames of batches. If there are several, the partition's columns name the batch of each row."""
    if len(batches) == 1:
        return next(iter(batches.values()))
    from pyspark.sql import DataFrame
    from pyspark.sql import functions as sf

    named = [
        frame.withColumns({name: sf.lit(value) for name, value in partition_columns(BATCHES, key).items()})
        for key, frame in batches.items()
    ]
    return reduce(DataFrame.unionByName, named)
