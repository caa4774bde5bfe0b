"""A run of partitioned assets that has no partition says so, whichever step comes first."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from dagster import AssetSelection, DagsterInstance, Definitions, StaticPartitionsDefinition, asset, define_asset_job

from lake_assets import (
    EmbeddedLake,
    LMDBNoSQL,
    NoSQLIOManager,
    ParquetIOManager,
    ProfileIOManager,
    profiled,
    published_asset,
)
from lake_assets.definitions import definitions
from lake_assets.environments import resources
from lake_assets.quality.constraints import Complete

DAYS = StaticPartitionsDefinition(["monday", "tuesday"])


@asset(io_manager_key="io_manager", partitions_def=DAYS, group_name="desk")
def trades() -> pd.DataFrame:
    """Rows of a day."""
    return pd.DataFrame({"isin": ["DE0005190003"]})


@asset(io_manager_key="nosql_io_manager", partitions_def=DAYS, group_name="desk", metadata={"nosql/key": "isin"})
def trades_table() -> pd.DataFrame:
    """Rows of a day, by their ISIN."""
    return pd.DataFrame({"isin": ["DE0005190003"]})


FIRST = {
    "asset": AssetSelection.assets(trades).without_checks(),
    "table": AssetSelection.assets(trades_table),
    "checks": AssetSelection.checks_for_assets(trades),
    "profile": AssetSelection.assets("trades_profile").without_checks(),
    "publication": AssetSelection.assets("desk_published").without_checks(),
}


def told(graph: Definitions, job: str) -> str:
    with DagsterInstance.ephemeral() as instance:
        run = graph.resolve_job_def(job).execute_in_process(instance=instance, raise_on_error=False)
        assert not run.get_asset_materialization_events()
    assert not run.success
    failed = next(event for event in run.all_events if event.is_step_failure)
    error = failed.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return f"{failed.step_failure_data.error} {error}"


@pytest.mark.parametrize("first", FIRST)
def test_a_run_without_a_partition_says_so(first: str, tmp_path: Path) -> None:
    profile, checks = profiled("trades", [Complete(column="isin")], group_name="desk", partitions_def=DAYS)
    lake = EmbeddedLake(home=str(tmp_path / "lake"))
    graph = Definitions(
        assets=[trades, trades_table, profile, published_asset("desk", [trades], profiles=[profile])],
        asset_checks=[checks],
        jobs=[define_asset_job(first, FIRST[first])],
        resources={
            "lake": lake,
            "io_manager": ParquetIOManager(lake=lake),
            "nosql_io_manager": NoSQLIOManager(nosql=LMDBNoSQL(folder=str(tmp_path / "tables"))),
            "profile_io_manager": ProfileIOManager(lake=lake),
        },
    )
    assert "This run has no partition, and its assets are partitioned: choose one in the UI" in told(graph, first)


@pytest.mark.parametrize("job", ["stocks", "users"])
def test_so_does_a_job_of_the_example(job: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "lake"))
    assert "This run has no partition" in told(definitions(resources()), job)
