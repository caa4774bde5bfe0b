"""A small graph without Spark: raw files by day, frames of them, their publication, and a total of all days."""

# No postponed annotations here: Dagster reads them when the decorators run.

import hashlib
from pathlib import Path
from typing import Any, cast

import pandas
from dagster import (
    AssetExecutionContext,
    AssetKey,
    DagsterInstance,
    Definitions,
    ExecuteInProcessResult,
    MetadataValue,
    SensorDefinition,
    StaticPartitionsDefinition,
    asset,
    build_sensor_context,
)
from dagster._core.definitions.sensor_definition import SensorExecutionData

from lake_assets import environments
from lake_assets.io_managers.nosql import KEY, TableUpdate
from lake_assets.io_managers.raw_file import RawFile
from lake_assets.lake.contract import Lake
from lake_assets.resources.lake import LakeResource
from lake_assets.resources.nosql import NoSQLResource
from lake_assets.runs.publishing import published_asset
from lake_assets.sensors import lake_sensors, sinks_follow_main

DAYS = StaticPartitionsDefinition(["mon", "tue", "wed"])


def definitions(source: Path) -> Definitions:
    """Return the graph on the environment in force; a day's rows are those of ``<source>/<day>.csv``."""

    @asset(partitions_def=DAYS, io_manager_key="lake_file_io_manager", code_version="1", group_name="prices")
    def raw(context: AssetExecutionContext) -> dict[str, RawFile]:
        files: dict[str, RawFile] = {}
        for day in context.partition_keys:
            data = (source / f"{day}.csv").read_bytes()
            copy = source / f"{day}.copy"
            copy.write_bytes(data)
            rows, digest = data.count(b"\n") - 1, hashlib.sha256(data).hexdigest()
            metadata = {"source": MetadataValue.url(f"file:///prices/{day}.csv")}
            files[day] = RawFile(f"{day}.csv", copy, rows, digest, metadata)
        return files

    @asset(partitions_def=DAYS, io_manager_key="parquet_io_manager", code_version="2", group_name="prices")
    def prices(raw: pandas.DataFrame) -> pandas.DataFrame:
        raw["price"] = raw["price"].astype(float)
        return raw

    @asset(io_manager_key="parquet_io_manager", code_version="3", deps=[prices])
    def total() -> pandas.DataFrame:
        return pandas.DataFrame({"total": [1]})

    published = published_asset("prices", ["raw", "prices"], partitions_def=DAYS)

    @asset(
        partitions_def=DAYS,
        deps=[published, prices],
        io_manager_key="nosql_io_manager",
        tags={"layer": "sink"},
        code_version="1",
        metadata={KEY: "isin"},
    )
    def prices_table(context: AssetExecutionContext, lake: LakeResource, nosql: NoSQLResource) -> TableUpdate:
        from_commit = nosql.reflected_commit(context.asset_key)
        to_commit = lake.lake.head(lake.target).id
        days = [lake.lake.path(to_commit, f"prices/partition={day}") for day in days_of(lake.lake, to_commit)]
        frames = [pandas.read_parquet(day.root, filesystem=day.filesystem) for day in days]
        empty = pandas.DataFrame({"isin": pandas.Series(dtype=str), "price": pandas.Series(dtype=float)})
        # Of equal keys the last day's stays.
        rows = pandas.concat([empty, *frames]).drop_duplicates("isin", keep="last").astype({"isin": "string"})
        version = lake.lake.fingerprint(to_commit, "prices") or "empty"
        return TableUpdate(from_commit, to_commit, version, cast(Any, rows), rebuild=True)

    return Definitions(
        assets=[raw, prices, total, published, prices_table],
        sensors=[sinks_follow_main("nosql", "words_outbox"), *lake_sensors()],
        resources=environments.resources(),
    )


def days_of(lake: Lake, ref: str) -> list[str]:
    """Return the days that the lake holds prices of."""
    return [day for day in DAYS.get_partition_keys() if lake.fingerprint(ref, f"prices/partition={day}") is not None]


class SmallGraph:
    """Runs of that graph."""

    def __init__(self, source: Path, instance: DagsterInstance) -> None:
        source.mkdir(exist_ok=True)
        self.source = source
        self.instance = instance
        self.defs = definitions(source)

    def run(self, *names: str, tags: dict[str, str] | None = None, **options: Any) -> ExecuteInProcessResult:
        """Materialize assets by name in one run."""
        job = self.defs.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=self.instance, asset_selection=[AssetKey(name) for name in names], tags=tags or {}, **options
        )

    def tick(self, sensor: str | SensorDefinition, cursor: str | None) -> SensorExecutionData:
        """Evaluate a sensor, the graph's by its name or another one."""
        repository = self.defs.get_repository_def()
        wanted = ("lake", "nosql", "words_outbox")
        resources = {key: resource for key, resource in environments.resources().items() if key in wanted}
        with build_sensor_context(
            instance=self.instance, cursor=cursor, repository_def=repository, resources=resources
        ) as context:
            found = repository.get_sensor_def(sensor) if isinstance(sensor, str) else sensor
            return found.evaluate_tick(context)

    def publish(self, day: str, *prices: float, **options: Any) -> ExecuteInProcessResult:
        """Publish a day of as many rows as there are prices."""
        self.write_source(day, *prices)
        return self.run("raw", "prices", "prices_published", partition_key=day, **options)

    def publish_range(self, first: str, last: str, *prices: float) -> ExecuteInProcessResult:
        """Publish several days of equal prices in one run."""
        days = DAYS.get_partition_keys()
        for day in days[days.index(first) : days.index(last) + 1]:
            self.write_source(day, *prices)
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        return self.run("raw", "prices", "prices_published", tags=tags)

    def write_source(self, day: str, *prices: float) -> None:
        """Write a day's file."""
        lines = "".join(f"DE{number},{price},{day}\n" for number, price in enumerate(prices))
        (self.source / f"{day}.csv").write_text(f"isin,price,partition\n{lines}")
