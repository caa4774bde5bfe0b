"""What an asset's page says of publication, and what is said of a check that did not pass."""

# No postponed annotations here: Dagster reads them when the decorators run.

from collections.abc import Sequence
from typing import Any

import pandas
import pytest
from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetKey,
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    Definitions,
    ExecuteInProcessResult,
    SensorDefinition,
    StaticPartitionsDefinition,
    asset,
    asset_check,
    build_run_status_sensor_context,
)

from lake_assets import environments
from lake_assets.lake.audit import Override
from lake_assets.lake.contract import MAIN, Lake
from lake_assets.runs.audit import PublicationRefused
from lake_assets.runs.check_results import explain, logged
from lake_assets.runs.published_state import mark_canceled_runs, mark_failed_runs
from lake_assets.runs.publishing import publish, published_asset
from lake_assets.sensors import publish_runs

DAYS = StaticPartitionsDefinition(["mon", "tue"])
ENDS = {DagsterEventType.RUN_SUCCESS, DagsterEventType.RUN_FAILURE}
FAILED = "check prices:positive did not pass: 1 of 2 prices are negative: bad_rows 1, share 0.5"


class World:
    """Runs of a graph with a blocking check; `rows` are what the next run finds."""

    def __init__(self, instance: DagsterInstance) -> None:
        self.instance = instance
        self.rows: Sequence[float] = [1.0]
        self.fails = False

        @asset(partitions_def=DAYS, io_manager_key="parquet_io_manager")
        def raw() -> pandas.DataFrame:
            return pandas.DataFrame({"price": self.rows})

        @asset(partitions_def=DAYS, io_manager_key="parquet_io_manager")
        def prices(raw: pandas.DataFrame) -> pandas.DataFrame:
            return raw

        @asset_check(asset=prices, blocking=True, partitions_def=DAYS)
        def positive(context: AssetCheckExecutionContext, prices: pandas.DataFrame) -> AssetCheckResult:
            bad = int((prices["price"] < 0).sum())
            result = AssetCheckResult(
                check_name="positive",
                passed=not bad,
                description=f"{bad} of {len(prices)} prices are negative.",
                metadata={"bad_rows": bad, "share": bad / len(prices), "examples": ["secret"]},
            )
            return logged(context.log, result)

        published = published_asset("prices", ["raw", "prices"], owners=[], partitions_def=DAYS)

        @asset(partitions_def=DAYS, deps=[published])
        def after() -> None:
            if self.fails:
                raise RuntimeError("the sink is away")

        self.defs = Definitions(
            assets=[raw, prices, published, after], asset_checks=[positive], resources=environments.resources()
        )

    def run(self, *names: str) -> ExecuteInProcessResult:
        """Materialize Monday's assets."""
        job = self.defs.resolve_implicit_global_asset_job_def()
        wanted = [AssetKey(name) for name in names or ("raw", "prices", "prices_published")]
        return job.execute_in_process(
            instance=self.instance, partition_key="mon", asset_selection=wanted, raise_on_error=False
        )

    def states(self, name: str) -> list[str]:
        """Return what the asset's page says of its publication, the newest first."""
        records = self.instance.fetch_observations(AssetKey(name), limit=100).records
        found = [record.asset_observation for record in records]
        assert all(observation is not None and observation.partition == "mon" for observation in found)
        return [str(observation.metadata["lake/published"].value) for observation in found if observation is not None]

    def tick(self, sensor: SensorDefinition, run: DagsterRun, event: DagsterEvent) -> None:
        """Evaluate a sensor of runs that ended."""
        context = build_run_status_sensor_context(
            sensor_name=sensor.name,
            dagster_event=event,
            dagster_instance=self.instance,
            dagster_run=run,
            repository_def=self.defs.get_repository_def(),
            resources={"lake": environments.lake_resource()},
        )
        with context:
            sensor(context)


def ended(run: ExecuteInProcessResult) -> DagsterEvent:
    """Return the event that ended a run."""
    return next(event for event in run.all_events if event.event_type in ENDS)


@pytest.fixture
def world(lake: Lake, small: Any) -> World:
    del lake
    return World(small.instance)


def test_each_partition_that_a_run_published_says_by_which_commit(world: World, lake: Lake) -> None:
    assert world.run().success
    expected = [f"yes, by commit {lake.head(MAIN).id}"]
    assert (world.states("raw"), world.states("prices")) == (expected, expected)


def test_what_was_the_same_as_before_is_published_too(world: World, lake: Lake) -> None:
    world.run()
    world.run()
    assert world.states("raw")[0] == f"yes, as before: commit {lake.head(MAIN).id} holds the same rows"
    assert len(world.states("raw")) == 2


def test_what_a_failed_check_stopped_is_not_published_and_says_the_numbers(world: World) -> None:
    world.run()
    world.rows = [1.0, -1.0]
    failed = world.run()
    assert not failed.success
    world.tick(mark_failed_runs, failed.dagster_run, ended(failed))
    assert world.states("raw")[0] == world.states("prices")[0] == f"not published: {FAILED}"
    assert len(world.states("prices")) == 2

    mended = world.run("raw")
    world.rows = [1.0]
    assert mended.success
    assert world.run().success
    assert world.states("prices")[0].startswith("yes, ")


def test_a_run_that_published_and_failed_afterwards_is_not_called_unpublished(world: World) -> None:
    world.fails = True
    failed = world.run("raw", "prices", "prices_published", "after")
    assert not failed.success
    world.tick(mark_failed_runs, failed.dagster_run, ended(failed))
    assert [state.partition(" ")[0] for state in world.states("prices")] == ["yes,"]


def test_a_canceled_run_says_so(world: World) -> None:
    run = world.run("raw")
    canceled = DagsterEvent(DagsterEventType.RUN_CANCELED.value, run.dagster_run.job_name)
    world.instance.report_dagster_event(canceled, run.run_id)
    ended = world.instance.get_run_by_id(run.run_id)
    assert ended is not None
    world.tick(mark_canceled_runs, ended, canceled)
    assert world.states("raw") == [f"not published: run {run.run_id} is CANCELED"]


def test_what_waits_for_a_person_says_for_which_check(world: World, lake: Lake) -> None:
    world.rows = [1.0, -1.0]
    failed = world.run("raw", "prices")
    world.tick(publish_runs(), failed.dagster_run, ended(failed))
    (state,) = world.states("prices")
    assert state.startswith("not published: ")
    assert "prices:positive did not pass: 1 of 2 prices are negative: bad_rows 1, share 0.5" in state
    graph = world.defs.resolve_asset_graph()
    override = Override("ann", "they are right", ("positive",))
    publish(lake, world.instance, failed.dagster_run, graph, override=override)
    published = f"yes, by commit {lake.head(MAIN).id}"
    assert world.states("prices")[0] == f"{published}, check prices:positive overridden by ann: they are right"
    assert world.states("raw")[0] == published


def test_a_refusal_names_the_numbers_of_the_check_and_repeats_no_value(world: World, lake: Lake) -> None:
    world.rows = [1.0, -1.0]
    failed = world.run()
    with pytest.raises(PublicationRefused, match=r"did not pass: 1 of 2 prices are negative: bad_rows 1") as refused:
        publish(lake, world.instance, failed.dagster_run, world.defs.resolve_asset_graph())
    assert "secret" not in str(refused.value)


def test_the_log_of_the_run_has_the_numbers_of_the_check(world: World) -> None:
    world.rows = [1.0, -1.0]
    failed = world.run()
    messages = [entry.user_message for entry in world.instance.all_logs(failed.run_id)]
    assert "Check positive did not pass: 1 of 2 prices are negative: bad_rows 1, share 0.5" in messages


def test_a_result_without_description_and_numbers_says_nothing_of_them() -> None:
    assert explain(None, {}) == ""
