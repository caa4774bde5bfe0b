"""`published_asset`: what it takes, and that no run loses the gate of a check that it did not select."""

# No postponed annotations here: Dagster reads them when the decorators run.

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas
import pytest
from dagster import (
    AssetCheckResult,
    AssetExecutionContext,
    AssetKey,
    AssetOut,
    AssetSelection,
    AssetSpec,
    BackfillPolicy,
    DagsterInstance,
    Definitions,
    ExecuteInProcessResult,
    Output,
    StaticPartitionsDefinition,
    asset,
    asset_check,
    define_asset_job,
    multi_asset,
)

from lake_assets.io_managers.parquet import ParquetIOManager
from lake_assets.lake.contract import MAIN
from lake_assets.resources.lake import EmbeddedLake
from lake_assets.runs.publishing import published_asset

DAYS = StaticPartitionsDefinition(["mon", "tue"])
HOURS = StaticPartitionsDefinition(["h1", "h2"])


@asset(group_name="desk")
def trades() -> pandas.DataFrame:
    return pandas.DataFrame({"price": [-1.0]})


@asset_check(asset=trades, blocking=True)
def positive(trades: pandas.DataFrame) -> AssetCheckResult:
    return AssetCheckResult(passed=bool((trades["price"] > 0).all()))


@asset(group_name="desk", partitions_def=DAYS, backfill_policy=BackfillPolicy.single_run())
def daily(context: AssetExecutionContext) -> pandas.DataFrame:
    return pandas.DataFrame({"partition": context.partition_keys, "n": 1})


@asset(partitions_def=HOURS)
def hourly() -> pandas.DataFrame:
    return pandas.DataFrame({"n": [1]})


@multi_asset(outs={"left": AssetOut(), "right": AssetOut()})
def both() -> Iterator[Output[Any]]:
    yield Output(pandas.DataFrame({"n": [1]}), "left")
    yield Output(pandas.DataFrame({"n": [2]}), "right")


@pytest.fixture
def lake(tmp_path: Path) -> EmbeddedLake:
    return EmbeddedLake(home=str(tmp_path / "lake"))


def definitions(lake: EmbeddedLake, *assets: Any, **more: Any) -> Definitions:
    resources = {"lake": lake, "io_manager": ParquetIOManager(lake=lake)}
    return Definitions(assets=assets, resources=resources, **more)


def run(defs: Definitions, job: str = "", **options: Any) -> ExecuteInProcessResult:
    chosen = defs.resolve_job_def(job) if job else defs.resolve_implicit_global_asset_job_def()
    with DagsterInstance.ephemeral() as instance:
        return chosen.execute_in_process(instance=instance, raise_on_error=False, **options)


def held(lake: EmbeddedLake) -> set[str]:
    """Return the folders that `main` holds files in."""
    return {item.path.rpartition("/")[0] for item in lake.lake.list(MAIN)}


WITHOUT_CHECKS = AssetSelection.assets("trades", "desk_published").without_checks()


@pytest.mark.parametrize("job", ["selects_none", "its_subset", "global"])
def test_a_run_without_a_code_location_that_selects_no_check_is_refused(lake: EmbeddedLake, job: str) -> None:
    published = published_asset("desk", [trades])
    jobs = [define_asset_job("selects_none", WITHOUT_CHECKS), define_asset_job("its_subset", AssetSelection.all())]
    defs = definitions(lake, trades, published, asset_checks=[positive], jobs=jobs)
    if job == "selects_none":
        result = run(defs, job)
    else:
        chosen = defs.resolve_job_def(job) if job != "global" else defs.resolve_implicit_global_asset_job_def()
        subset = chosen.get_subset(
            asset_selection={AssetKey("trades"), AssetKey("desk_published")}, asset_check_selection=set()
        )
        with DagsterInstance.ephemeral() as instance:
            result = subset.execute_in_process(instance=instance, raise_on_error=False)
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "--override trades:positive" in failure.step_failure_data.error_display_string
    assert held(lake) == set()


def test_all_assets_of_definitions_are_published_and_named_keys_too(lake: EmbeddedLake) -> None:
    published = published_asset("desk", [both, AssetSpec("daily"), "shop/sales", AssetKey(["a", "b"])])
    assert {dep.asset_key for dep in next(iter(published.specs)).deps} == {
        AssetKey(path) for path in (["left"], ["right"], ["daily"], ["shop", "sales"], ["a", "b"])
    }
    assert run(definitions(lake, both, published_asset("desk", [both]))).success
    assert held(lake) == {"left", "right"}


def test_partitions_and_backfill_policy_are_those_that_the_assets_share(lake: EmbeddedLake) -> None:
    published = published_asset("desk", [daily, both])
    assert (published.partitions_def, published.backfill_policy) == (DAYS, BackfillPolicy.single_run())
    assert published_asset("desk", [both]).partitions_def is None
    defs = definitions(lake, daily, both, published)
    ends = {"dagster/asset_partition_range_start": "mon", "dagster/asset_partition_range_end": "tue"}
    assert run(defs, tags=ends).success
    assert held(lake) == {"daily/partition=mon", "daily/partition=tue", "left", "right"}
    with pytest.raises(ValueError, match=r"desk_published have 2 different values of partitions_def"):
        published_asset("desk", [daily, hourly])
