"""A run in a process of its own that writes to the lake in one step, and in the next one waits to be killed.

Arguments: Dagster's folder, the lake's folder, the executor's name. It says `waiting` once it waits.
"""

import sys
import time
from pathlib import Path
from typing import Any

import pandas
from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    DagsterInstance,
    Definitions,
    JobDefinition,
    MaterializeResult,
    asset,
    build_reconstructable_job,
    define_asset_job,
    execute_job,
    in_process_executor,
    multiprocess_executor,
)

from lake_assets.io_managers.parquet import ParquetIOManager
from lake_assets.resources.lake import EmbeddedLake
from lake_assets_tests.shared_spark import SharedSpark

EXECUTORS = {"in_process": in_process_executor, "multiprocess": multiprocess_executor}


def job(home: str, executor: str) -> JobDefinition:
    @asset(io_manager_key="parquet_io_manager")
    def numbers() -> pandas.DataFrame:
        return pandas.DataFrame({"number": [1]})

    @asset(deps=[numbers])
    def forever(context: AssetExecutionContext) -> MaterializeResult[Any]:
        Path(home, "waiting").write_text(context.run_id)
        time.sleep(600)
        return MaterializeResult()

    assets: list[AssetsDefinition] = [numbers, forever]
    lake = EmbeddedLake(home=home)
    return Definitions(
        assets=assets,
        jobs=[define_asset_job("waiting", executor_def=EXECUTORS[executor])],
        resources={"parquet_io_manager": ParquetIOManager(lake=lake, spark=SharedSpark())},
    ).resolve_job_def("waiting")


if __name__ == "__main__":
    dagster_home, lake_home, executor_name = sys.argv[1:]
    reconstructable = build_reconstructable_job(
        "lake_assets_tests.runs.waiting_run",
        "job",
        # Dagster's annotation says one argument, and takes any number.
        reconstructable_args=(lake_home, executor_name),  # pyright: ignore[reportArgumentType]
    )
    with DagsterInstance.from_config(dagster_home) as instance:
        execute_job(reconstructable, instance)
