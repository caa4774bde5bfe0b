"""The queue of `dagster.yaml`: runs of a pool go one after the other, the first ones of a new Dagster, too."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from dagster import (
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    Definitions,
    asset,
    define_asset_job,
)
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from lake_assets._dagster import SubmitRunContext
from lake_assets_tests.conftest import REPOSITORY_ROOT
from lake_assets_tests.deploy.chart import queue_of


@asset(pool="lines")
def first() -> None: ...


@asset(pool="lines", deps=[first])
def second() -> None: ...


LOCATION = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "__repository__")
DEFS = Definitions(
    assets=[first, second],
    jobs=[define_asset_job("both", [first, second]), define_asset_job("last", [second])],
)


@pytest.fixture(params=["dagster.yaml", "deploy/values.yaml"])
def instance(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DagsterInstance]:
    """A new Dagster home with a file of the project, or what the chart makes of it."""
    if request.param == "dagster.yaml":
        shutil.copy(REPOSITORY_ROOT / "dagster.yaml", tmp_path)
    else:
        values = yaml.safe_load((REPOSITORY_ROOT / request.param).read_text())
        (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(queue_of(values)))
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


def queue(instance: DagsterInstance, job: str) -> str:
    """Queue a run as the page and sensors do, and return its id."""
    run = instance.create_run_for_job(DEFS.resolve_job_def(job), remote_job_origin=LOCATION.get_job_origin(job))
    context = SubmitRunContext(run, None)  # pyright: ignore[reportArgumentType]
    assert instance.run_coordinator.submit_run(context).status == DagsterRunStatus.QUEUED
    return run.run_id


def started(instance: DagsterInstance) -> list[str]:
    """Return the runs that the daemon would start now."""
    daemon = QueuedRunCoordinatorDaemon(1)
    config = instance.get_concurrency_config()
    return [run.run_id for run in daemon._get_runs_to_dequeue(instance, config, None)]


def test_of_the_first_runs_of_a_pool_that_are_queued_together_one_starts(instance: DagsterInstance) -> None:
    earlier, *_ = (queue(instance, job) for job in ("both", "both", "last"))
    assert started(instance) == [earlier]
    # The later ones wait, however often the daemon looks.
    assert started(instance) == [earlier]


def test_the_next_one_starts_when_the_one_before_has_ended(instance: DagsterInstance) -> None:
    earlier, later = queue(instance, "both"), queue(instance, "both")
    instance.report_dagster_event(DagsterEvent(DagsterEventType.PIPELINE_STARTING.value, "both"), earlier)
    assert started(instance) == []
    run = instance.get_run_by_id(earlier)
    assert run
    instance.report_run_canceling(run)
    assert started(instance) == []
    instance.report_run_canceled(run)
    assert started(instance) == [later]


def test_a_limit_that_somebody_has_set_stays(instance: DagsterInstance) -> None:
    instance.event_log_storage.set_concurrency_slots("lines", 2)
    both = [queue(instance, "both"), queue(instance, "last")]
    assert started(instance) == both
    (pool,) = instance.event_log_storage.get_pool_limits()
    assert (pool.limit, pool.from_default) == (2, False)
