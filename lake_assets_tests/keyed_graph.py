"""A graph without Spark whose keys begin each other, and hold what paths, URIs and engines read in their own way."""

# No postponed annotations here: Dagster reads them when the decorators run.

from collections.abc import Sequence
from typing import Any, cast

import pandas
from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetsDefinition,
    DagsterInstance,
    Definitions,
    ExecuteInProcessResult,
    StaticPartitionsDefinition,
    asset,
)

from lake_assets import environments
from lake_assets.io_managers.nosql import KEY, TableUpdate
from lake_assets.lake.contract import MAIN
from lake_assets.layout.asset_folders import prefix_of
from lake_assets.resources.lake import LakeResource
from lake_assets.resources.nosql import NoSQLResource
from lake_assets.runs.publishing import published_asset
from lake_assets.sensors import lake_commits, sinks_follow_main

CITIES = StaticPartitionsDefinition(["köln", "rome", "a/b"])
SALES, DAILY, DEEP, DOTTED = (AssetKey(path) for path in (["sales"], ["sales", "daily"], ["a", "b", "c"], ["a.b"]))
BY_CITY = AssetKey(["sales", "daily", "by-city"])
TABLE = AssetKey(["shop", "sales_table"])
LAKE_ASSETS = {SALES: "sales", DAILY: "sales.daily", DEEP: "a.b.c", DOTTED: "a~2Eb"}


def frame_of(key: AssetKey, rows: int) -> pandas.DataFrame:
    """Return rows that tell whose they are."""
    return pandas.DataFrame({"of": [key.to_user_string()] * rows, "n": range(rows)})


def _asset(key: AssetKey, deps: Sequence[AssetKey] = ()) -> AssetsDefinition:
    @asset(key=key, deps=deps, io_manager_key="parquet_io_manager", config_schema={"rows": int}, code_version="1")
    def rows(context: AssetExecutionContext) -> pandas.DataFrame:
        return frame_of(key, context.op_execution_context.op_config["rows"])

    return rows


def definitions() -> Definitions:
    """Return the graph on the environment in force."""

    @asset(key=BY_CITY, partitions_def=CITIES, io_manager_key="parquet_io_manager", group_name="cities")
    def by_city(context: AssetExecutionContext) -> pandas.DataFrame:
        return pandas.DataFrame({"n": [1, 2], "of": context.partition_key})

    published = published_asset("shop", ["sales", "sales/daily", DEEP, DOTTED])
    by_cities = published_asset("cities", [BY_CITY], partitions_def=CITIES)

    @asset(
        key=TABLE,
        deps=[published, DAILY],
        io_manager_key="nosql_io_manager",
        tags={"layer": "sink"},
        metadata={KEY: "n"},
    )
    def sales_table(lake: LakeResource, nosql: NoSQLResource) -> TableUpdate:
        from_commit, to_commit = nosql.store.source_commit(TABLE.to_user_string()), lake.lake.head(MAIN).id
        rows = frame_of(DAILY, 0).astype({"of": object, "n": "int64"})
        if lake.lake.fingerprint(to_commit, prefix_of(DAILY)) is not None:
            place = lake.lake.path(to_commit, prefix_of(DAILY))
            rows = pandas.read_parquet(place.root, filesystem=place.filesystem)
        return TableUpdate(from_commit, to_commit, to_commit, cast(Any, rows), rebuild=True)

    lake_assets = [_asset(SALES), _asset(DAILY, [SALES]), _asset(DEEP, [DAILY]), _asset(DOTTED)]
    return Definitions(
        assets=[*lake_assets, by_city, published, by_cities, sales_table],
        sensors=[sinks_follow_main("nosql"), lake_commits()],
        resources=environments.resources(),
    )


class KeyedGraph:
    """Runs of that graph."""

    def __init__(self, instance: DagsterInstance) -> None:
        self.instance = instance
        self.defs = definitions()

    def run(self, *keys: AssetKey, rows: int = 1, **options: Any) -> ExecuteInProcessResult:
        """Materialize assets in one run; those of the lake get so many rows."""
        ops = {key.to_python_identifier(): {"config": {"rows": rows}} for key in keys if key in LAKE_ASSETS}
        job = self.defs.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=self.instance, asset_selection=list(keys), run_config={"ops": ops}, **options
        )

    def publish(self, *keys: AssetKey, rows: int) -> ExecuteInProcessResult:
        """Materialize assets, and publish them."""
        return self.run(*keys, AssetKey("shop_published"), rows=rows)
