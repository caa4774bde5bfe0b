"""Which runs belong to a code location: also those that Dagster records without a location."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagster import DagsterEventType

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun, RepositoryDefinition


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
