"""The sensors of a code location see its runs, also those that Dagster records without a location."""

# No postponed annotations here: Dagster reads them when the decorators run.

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import (
    AssetKey,
    AssetSpec,
    DagsterInstance,
    DagsterRunStatus,
    Definitions,
    RunsFilter,
    asset,
    build_sensor_context,
    job,
    op,
)
from dagster._core.remote_origin import ManagedGrpcPythonEnvCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from lake_assets import EmbeddedLake
from lake_assets.lake.contract import MAIN
from lake_assets.runs.own_runs import is_own_run
from lake_assets.sensors import command_line_runs

# With FAIL, another row is written, and the asset downstream fails.
PROGRAM = """
import os, pandas
from dagster import Definitions, asset, define_asset_job
from lake_assets import EmbeddedLake, ParquetIOManager, lake_sensors

@asset(io_manager_key="io_manager")
def trades() -> pandas.DataFrame:
    return pandas.DataFrame({"price": [2.0 if os.environ.get("FAIL") else 1.0]})

@asset(deps=[trades])
def report() -> None:
    if os.environ.get("FAIL"):
        raise ValueError("no report today")

lake = EmbeddedLake(home=os.environ["DESK_HOME"])
defs = Definitions(
    assets=[trades, report],
    jobs=[define_asset_job("desk", "*")],
    sensors=lake_sensors(),
    resources={"lake": lake, "io_manager": ParquetIOManager(lake=lake)},
)
"""


class Desk:
    """A code location in a folder of its own, whose runs the dagster command executes."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        (folder / "desk_location.py").write_text(PROGRAM)
        (folder / "home").mkdir()
        (folder / "home" / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        monkeypatch.setenv("DESK_HOME", str(folder / "lake"))
        monkeypatch.syspath_prepend(str(folder))
        self.instance = DagsterInstance.from_config(str(folder / "home"))
        self.cursors: dict[str, str | None] = {}

    @property
    def defs(self) -> Definitions:
        from desk_location import defs  # pyright: ignore[reportMissingImports]

        return defs

    def dagster(self, *arguments: str, fail: bool = False) -> None:
        environment = {**os.environ, "DAGSTER_HOME": str(self.folder / "home"), **({"FAIL": "1"} if fail else {})}
        command = [str(Path(sys.executable).with_name("dagster")), *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == (1 if fail else 0), done.stderr[-2000:]

    def tick(self, name: str) -> None:
        repository = self.defs.get_repository_def()
        lake = EmbeddedLake(home=str(self.folder / "lake"))
        # With the location's name, as in the daemon: without it, Dagster lets each run pass.
        with build_sensor_context(
            self.instance,
            self.cursors.get(name),
            repository_name=repository.name,
            repository_def=repository,
            resources={"lake": lake},
        ) as context:
            self.cursors[name] = repository.get_sensor_def(name).evaluate_tick(context).cursor

    def newest(self, status: DagsterRunStatus) -> str:
        return self.instance.get_runs(RunsFilter(statuses=[status]), limit=1)[0].run_id


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    made = Desk(tmp_path, monkeypatch)
    yield made
    made.instance.dispose()
    sys.modules.pop("desk_location", None)


def test_a_run_of_the_command_line_is_published_by_the_sensor(desk: Desk) -> None:
    desk.tick("publish_runs")
    desk.dagster("asset", "materialize", "-m", "desk_location", "--select", "trades")
    run = desk.newest(DagsterRunStatus.SUCCESS)
    desk.tick("publish_runs")
    with EmbeddedLake(home=str(desk.folder / "lake")).process_config_and_initialize_cm() as resource:
        assert resource.lake.head(MAIN).metadata["run_id"] == run


@pytest.mark.soak
def test_a_failed_run_of_the_command_line_is_marked_by_the_sensor(desk: Desk) -> None:
    desk.tick("mark_failed_runs")
    desk.dagster("job", "execute", "-m", "desk_location", "-j", "desk", fail=True)
    desk.tick("mark_failed_runs")
    told = desk.instance.fetch_observations(AssetKey("trades"), limit=1).records[0].asset_observation
    assert told is not None
    assert told.metadata["lake/run"].value == desk.newest(DagsterRunStatus.FAILURE)
    assert str(told.metadata["lake/published"].value).startswith("not published: step report of run")


@asset
def ours() -> None: ...


@asset
def theirs() -> None: ...


@op
def count() -> None: ...


@job
def housekeeping() -> None:
    count()


def test_a_run_of_another_code_location_is_not_its_own() -> None:
    here = Definitions([ours, AssetSpec("theirs")], jobs=[housekeeping]).get_repository_def()
    there = Definitions([theirs]).get_repository_def()
    with DagsterInstance.ephemeral() as instance:
        runs = [
            definitions.resolve_implicit_global_asset_job_def().execute_in_process(instance=instance).dagster_run
            for definitions in (Definitions([ours]), Definitions([theirs]))
        ]
        plain = housekeeping.execute_in_process(instance=instance).dagster_run
        assert [is_own_run(here, instance, run) for run in (*runs, plain)] == [True, False, True]
        assert [is_own_run(there, instance, run) for run in (*runs, plain)] == [False, True, False]


@pytest.mark.parametrize("cursor", [None, "", "garbage", "9999-12-31T23:59:59", "0001-01-01T00:00:00"])
def test_finished_runs_of_the_command_line_get_the_location_once(cursor: str | None) -> None:
    repository = Definitions([ours]).get_repository_def()
    origin = ManagedGrpcPythonEnvCodeLocationOrigin(
        LoadableTargetOrigin(module_name="desk_location"), location_name="desk_location"
    )
    with DagsterInstance.ephemeral() as instance:
        own, other = (
            definitions.resolve_implicit_global_asset_job_def().execute_in_process(instance=instance).run_id
            for definitions in (Definitions([ours]), Definitions([theirs]))
        )
        instance.add_run_tags(own, {"team": "desk"})
        ticks: list[str] = []
        for _ in range(2):
            with build_sensor_context(
                instance, cursor, repository_name=repository.name, repository_def=repository
            ) as context:
                context._code_location_origin = origin  # pyright: ignore[reportPrivateUsage]
                tick = command_line_runs().evaluate_tick(context)
            cursor = tick.cursor
            ticks.append(tick.skip_message or "")
        assert ticks == [f"On the timeline now: {own}", "Every run has its location."]
        run, foreign = instance.get_run_by_id(own), instance.get_run_by_id(other)
        assert run is not None
        assert run.remote_job_origin is not None
        assert run.remote_job_origin.repository_origin.get_label() == "__repository__@desk_location"
        assert (run.status, run.tags["team"]) == (DagsterRunStatus.SUCCESS, "desk")
        label = RunsFilter(tags={".dagster/repository": "__repository__@desk_location"})
        assert [found.run_id for found in instance.get_runs(label)] == [own]
        assert foreign is not None
        assert foreign.remote_job_origin is None
