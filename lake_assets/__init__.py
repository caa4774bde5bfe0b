"""Dagster assets on a versioned data lake: written on a branch, audited by checks, published in one merge.

What another project imports stands here; a name is loaded when it is first used.

Examples
--------
>>> import pandas
>>> from dagster import Definitions, asset
>>> from lake_assets import EmbeddedLake, ParquetIOManager, lake_sensors, published_asset
>>> @asset(io_manager_key="io_manager", group_name="desk")
... def trades() -> pandas.DataFrame:
...     return pandas.DataFrame({"isin": ["DE0007164600"], "price": [104.5]})
>>> lake = EmbeddedLake(home="lake")
>>> defs = Definitions(
...     assets=[trades, published_asset("desk", [trades])],
...     sensors=lake_sensors(),
...     resources={"lake": lake, "io_manager": ParquetIOManager(lake=lake)},
... )
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# `import pyspark.pandas` sets it to 1 where nothing is set. From then on, pyarrow would take the times of Python's
# datetimes for UTC, whatever their zone, in the whole process.
os.environ.setdefault("PYARROW_IGNORE_TIMEZONE", "")

if TYPE_CHECKING:
    from lake_assets.frames.increment import Increment
    from lake_assets.from_database.assets import table_from_database
    from lake_assets.from_database.sensors import database_sensor
    from lake_assets.io_managers.incremental import IncrementalIOManager
    from lake_assets.io_managers.nosql import NoSQLIOManager, TableUpdate
    from lake_assets.io_managers.parquet import ParquetIOManager
    from lake_assets.io_managers.profile import AssetProfile, ProfileIOManager
    from lake_assets.io_managers.raw_file import RawFile, RawFileIOManager, StoredFile
    from lake_assets.io_managers.stream import StreamIOManager
    from lake_assets.quality.questions import Asked
    from lake_assets.quality_assets.checks import constraint_checks
    from lake_assets.quality_assets.comparison import Comparison
    from lake_assets.quality_assets.files import asset_of_files
    from lake_assets.quality_assets.profiled import profiled
    from lake_assets.resources.compute import ComputeResource
    from lake_assets.resources.kafka import KafkaResource
    from lake_assets.resources.lake import EmbeddedLake, LakeFS, LakeResource, SnapshotResource
    from lake_assets.resources.nosql import DynamoDBNoSQL, LMDBNoSQL, NoSQLResource
    from lake_assets.resources.outbox import OutboxResource
    from lake_assets.resources.spark import SparkResource
    from lake_assets.runs.branch import read_ref
    from lake_assets.runs.check_results import logged
    from lake_assets.runs.checked_commits import checked_at
    from lake_assets.runs.publishing import published_asset
    from lake_assets.runs.sinks import Sink
    from lake_assets.sensors import lake_sensors, sinks_follow_main
    from lake_assets.sql_assets import sql_asset
    from lake_assets.streaming.query import StreamQuery

__all__ = [
    "Asked",
    "AssetProfile",
    "Comparison",
    "ComputeResource",
    "DynamoDBNoSQL",
    "EmbeddedLake",
    "Increment",
    "IncrementalIOManager",
    "KafkaResource",
    "LMDBNoSQL",
    "LakeFS",
    "LakeResource",
    "NoSQLIOManager",
    "NoSQLResource",
    "OutboxResource",
    "ParquetIOManager",
    "ProfileIOManager",
    "RawFile",
    "RawFileIOManager",
    "Sink",
    "SnapshotResource",
    "SparkResource",
    "StoredFile",
    "StreamIOManager",
    "StreamQuery",
    "TableUpdate",
    "asset_of_files",
    "checked_at",
    "constraint_checks",
    "database_sensor",
    "lake_sensors",
    "logged",
    "profiled",
    "published_asset",
    "read_ref",
    "sinks_follow_main",
    "sql_asset",
    "table_from_database",
]

_HOMES = {
    "frames.increment": ("Increment",),
    "from_database.assets": ("table_from_database",),
    "from_database.sensors": ("database_sensor",),
    "io_managers.incremental": ("IncrementalIOManager",),
    "io_managers.nosql": ("NoSQLIOManager", "TableUpdate"),
    "io_managers.parquet": ("ParquetIOManager",),
    "io_managers.profile": ("AssetProfile", "ProfileIOManager"),
    "io_managers.raw_file": ("RawFile", "RawFileIOManager", "StoredFile"),
    "io_managers.stream": ("StreamIOManager",),
    "quality.questions": ("Asked",),
    "quality_assets.checks": ("constraint_checks",),
    "quality_assets.comparison": ("Comparison",),
    "quality_assets.files": ("asset_of_files",),
    "quality_assets.profiled": ("profiled",),
    "resources.compute": ("ComputeResource",),
    "resources.kafka": ("KafkaResource",),
    "resources.lake": ("EmbeddedLake", "LakeFS", "LakeResource", "SnapshotResource"),
    "resources.nosql": ("DynamoDBNoSQL", "LMDBNoSQL", "NoSQLResource"),
    "resources.outbox": ("OutboxResource",),
    "resources.spark": ("SparkResource",),
    "runs.branch": ("read_ref",),
    "runs.check_results": ("logged",),
    "runs.checked_commits": ("checked_at",),
    "runs.publishing": ("published_asset",),
    "runs.sinks": ("Sink",),
    "sensors": ("lake_sensors", "sinks_follow_main"),
    "sql_assets": ("sql_asset",),
    "streaming.query": ("StreamQuery",),
}
"""Module to the names that it gives."""


def __getattr__(name: str) -> Any:
    home = next((home for home, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
