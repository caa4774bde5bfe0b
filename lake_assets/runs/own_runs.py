"""Which runs belong to a code location: also those that Dagster records without a location."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from dagster import DagsterEventType, DagsterRunStatus, RunsFilter

from lake_assets._dagster import record_location

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun, RepositoryDefinition, SensorEvaluationContext

FINISHED = (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)


def is_own_run(repository: RepositoryDefinition, instance: DagsterInstance, run: DagsterRun) -> bool:
    """Tell whether a run is one of this code location.

    Dagster does not record a location for runs of ``dagster job execute`` and ``dagster asset materialize``, so its
    own filter passes over them. All assets of a run are of one location, so the first asset that a run planned to
    make decides. A run without assets is recognized by the name of its job.

    Parameters
    ----------
    repository
        The definitions of the code location.
    instance
        The Dagster instance.
    run
        The run.
    """
    planned = instance.get_records_for_run(
        run.run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION_PLANNED, limit=1
    ).records
    if planned:
        event = planned[0].event_log_entry.dagster_event
        assert event is not None
        return event.asset_key in repository.asset_graph.executable_asset_keys
    return run.job_name in repository.job_names


def take_in_runs(context: SensorEvaluationContext, since: datetime) -> Iterator[DagsterRun]:
    """Record this code location with each finished run of it that has none, and yield those runs.

    Dagster's timeline shows the runs of a location only.

    Parameters
    ----------
    context
        Context of a sensor of the code location.
    since
        Runs that changed last before this time are passed over.
    """
    repository = context.repository_def
    assert repository is not None
    for run in context.instance.get_runs(RunsFilter(statuses=FINISHED, updated_after=since)):
        if run.remote_job_origin is None and is_own_run(repository, context.instance, run):
            record_location(context, run)
            yield run
