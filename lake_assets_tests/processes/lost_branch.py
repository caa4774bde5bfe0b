"""A job of three steps, the second of which is somebody who deletes or resets the run's branch by hand."""

# No postponed annotations here: Dagster reads them when the decorators run.

import os
from contextlib import closing
from pathlib import Path

import pandas
from dagster import (
    AssetExecutionContext,
    Definitions,
    JobDefinition,
    asset,
    define_asset_job,
    multi_or_in_process_executor,
)
from dagster._core.code_pointer import CustomPointer, ModuleCodePointer
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository

from lake_assets import environments
from lake_assets.lake.contract import MAIN
from lake_assets.runs.branch import branch_name
from lake_assets.runs.publishing import published_asset
from lake_assets_tests.conftest import REPOSITORY_ROOT

WHAT_HAPPENS = "TEST_WHAT_SOMEBODY_DOES"
"""Environment variable: ``nothing``, ``delete`` or ``reset``."""


@asset(io_manager_key="parquet_io_manager", group_name="lost")
def first() -> pandas.DataFrame:
    return pandas.DataFrame({"n": [1]})


@asset(deps=[first])
def somebody(context: AssetExecutionContext) -> None:
    # Past all that this process knows of the run: by hand, as in lakeFS's own pages.
    what = os.environ[WHAT_HAPPENS]
    if what == "nothing":
        return
    with closing(environments.open_lake()) as lake:
        lake.delete_branch(branch_name(context.run_id))
        if what == "reset":
            lake.create_branch(branch_name(context.run_id), MAIN)


@asset(io_manager_key="parquet_io_manager", group_name="lost", deps=[first, somebody])
def second() -> pandas.DataFrame:
    return pandas.DataFrame({"n": [2]})


def job_of(home: str) -> JobDefinition:
    """Return the job, on the environment in force."""
    del home
    published = published_asset("lost", ["first", "second"])
    return Definitions(
        assets=[first, somebody, second, published],
        jobs=[define_asset_job("lost")],
        resources=environments.resources(),
        executor=multi_or_in_process_executor,
    ).resolve_job_def("lost")


def reconstructable(home: Path) -> ReconstructableJob:
    """Return the job in the form that other processes, and re-executions, want."""
    # Dagster keeps a job by how it is made: without the home, a test would get that of the one before it.
    pointer = CustomPointer(ModuleCodePointer(__name__, "job_of", str(REPOSITORY_ROOT)), [str(home)], [])
    return ReconstructableRepository(pointer).get_reconstructable_job("lost")
