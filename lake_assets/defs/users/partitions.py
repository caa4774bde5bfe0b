"""Batches: one is one file of users, and becomes known when it is first seen."""

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
    """Return why no batch can have this name; None where one can."""
    if not name or "..." in name or not name.isprintable():
        return "Dagster cannot have a partition of this name"
    try:
        partition_columns(BATCHES, name)
    except PartitionKeyError as error:
        return str(error)
    return None


def one_frame(batches: Mapping[str, DataFrame]) -> DataFrame:
    """Return the frames of batches as one; of several, each row names its batch in the partition's columns."""
    if len(batches) == 1:
        return next(iter(batches.values()))
    from pyspark.sql import DataFrame
    from pyspark.sql import functions as sf

    named = [
        frame.withColumns({name: sf.lit(value) for name, value in partition_columns(BATCHES, key).items()})
        for key, frame in batches.items()
    ]
    return reduce(DataFrame.unionByName, named)
