"""The one place where `LAKE_ENV` picks the resources; assets and IO managers never ask which they run in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dagster import ExecutorDefinition, in_process_executor, multiprocess_executor

from lake_assets import settings
from lake_assets.io_managers.lake_file import LakeFileIOManager
from lake_assets.io_managers.nosql import NoSQLIOManager
from lake_assets.io_managers.parquet import ParquetIOManager
from lake_assets.resources.lake import EmbeddedLakeResource, LakeResource
from lake_assets.resources.nosql.resource import LMDBResource, NoSQLResource
from lake_assets.resources.spark import SparkResource
from lake_assets.resources.stocks_source import StocksSourceResource


def lake_home() -> Path:
    """Return the folder of the embedded stores, absolute."""
    return Path(settings.LAKE_HOME.value).expanduser().absolute()


def lake_resource() -> LakeResource:
    """Return the lake of the environment in force."""
    settings.LAKE_ENV.choice("embedded")
    return EmbeddedLakeResource(home=str(lake_home()))


def nosql_resource() -> NoSQLResource:
    """Return the NoSQL store of the environment in force."""
    settings.LAKE_ENV.choice("embedded")
    return LMDBResource(folder=str(lake_home() / "nosql"))


def stocks_source_resource() -> StocksSourceResource:
    """Return where the stock files come from."""
    return StocksSourceResource(
        source=settings.STOCKS_SOURCE.value,
        rows=int(settings.STOCKS_ROWS.number(0, 1e9)),
        endpoint_url=settings.S3_ENDPOINT_URL.value or None,
    )


def resources() -> dict[str, Any]:
    """Return every resource by its key."""
    lake = lake_resource()
    nosql = nosql_resource()
    spark = SparkResource(
        master=settings.SPARK_MASTER.value,
        conf={"spark.driver.memory": settings.SPARK_DRIVER_MEMORY.value},
    )
    return {
        "lake": lake,
        "nosql": nosql,
        "spark": spark,
        "stocks_source": stocks_source_resource(),
        "lake_file_io_manager": LakeFileIOManager(lake=lake, spark=spark),
        "parquet_io_manager": ParquetIOManager(lake=lake, spark=spark),
        "nosql_io_manager": NoSQLIOManager(nosql=nosql, spark=spark),
    }


def executor() -> ExecutorDefinition:
    """Return the executor of runs: in this process by default, since a Spark session costs seconds to start."""
    name = settings.LAKE_EXECUTOR.choice("in_process", "multiprocess")
    return in_process_executor if name == "in_process" else multiprocess_executor
