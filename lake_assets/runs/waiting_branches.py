"""Looks after the branches of finished runs: publishes what no sensor has tried to, and records the checks of the rest.

What was done is told by the lake and by Dagster's run storage alone, so nothing is missed if a cursor is lost.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dagster import AssetKey, AssetRecordsFilter, DagsterRunStatus, Failure

from lake_assets.lake.errors import LakeError, RefNotFound
from lake_assets.resources.working_branch import in_metadata, target_of
from lake_assets.runs.asset_metadata import PUBLISHED, RUN
from lake_assets.runs.audit import evaluations
from lake_assets.runs.branch import branch_name
from lake_assets.runs.commit_metadata import CommitMetadata
from lake_assets.runs.own_runs import is_own_run
from lake_assets.runs.published_state import unpublished_observations, why_unpublished
from lake_assets.runs.publishing import publish
from lake_assets.runs.recorded_checks import as_metadata, is_record

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun, RepositoryDefinition

    from lake_assets._dagster import AssetGraph
    from lake_assets.lake.contract import Commit, Lake

LEFT_ALONE = 120.0
"""Seconds after the end of a run in which the run-status sensors see to its branch."""


def look_after(lake: Lake, instance: DagsterInstance, repository: RepositoryDefinition) -> Iterator[str]:
    """Publish or record the branch of each finished run that has no record of checks yet, and yield what was done.

    Parameters
    ----------
    lake
        The lake.
    instance
        The Dagster instance.
    repository
        The definitions of the code location.
    """
    for name in lake.branches():
        run_id = name.removeprefix(branch_name(""))
        record = instance.get_run_record_by_id(run_id) if run_id != name else None
        if record is None or not record.dagster_run.is_finished:
            continue
        if time.time() - (record.end_time or 0) < LEFT_ALONE or not is_own_run(
            repository, instance, record.dagster_run
        ):
            continue
        try:
            head = lake.head(name)
            if not is_record(head):
                yield _look_after(lake, instance, repository.asset_graph, record.dagster_run, head)
        except RefNotFound:
            continue  # It was published or removed meanwhile.
        except LakeError as error:
            yield f"{name}: {error}"


def _look_after(lake: Lake, instance: DagsterInstance, graph: AssetGraph, run: DagsterRun, head: Commit) -> str:
    reason = ""
    if run.status == DagsterRunStatus.SUCCESS:
        try:
            done = publish(lake, instance, run, graph)
        except Failure as refusal:
            reason = str(refusal.description)
        else:
            return f"Published run {run.run_id} as commit {done.commit.id}"
    record_checks(lake, instance, graph, run, head)
    marks = list(unpublished_observations(lake, instance, run, reason or why_unpublished(instance, run)))
    for observation in marks:
        if not _is_marked(instance, observation.asset_key, observation.partition, run.run_id):
            instance.report_runless_asset_event(observation)
    return f"Branch {branch_name(run.run_id)} waits; the results of its checks were recorded with it"


def record_checks(lake: Lake, instance: DagsterInstance, graph: AssetGraph, run: DagsterRun, head: Commit) -> None:
    """Record the newest result of each blocking check on what a run's branch holds, with the branch.

    Parameters
    ----------
    lake
        The lake.
    instance
        The Dagster instance.
    graph
        The graph of the code location, with its blocking checks.
    run
        The run.
    head
        Head of its branch.
    """
    into = target_of(instance, run)
    results = evaluations(lake, instance, graph, head, into=into)
    metadata = CommitMetadata(run_id=run.run_id, job=run.job_name, branch=in_metadata(into)).to_metadata()
    message = f"Results of {len(results)} check(s) of run {run.run_id}"
    lake.note(branch_name(run.run_id), message, metadata | as_metadata(results))


def _is_marked(instance: DagsterInstance, asset: AssetKey, partition: str | None, run_id: str) -> bool:
    """Tell whether a partition's page says already that a run was not published."""
    asked = AssetRecordsFilter(asset, asset_partitions=[partition] if partition is not None else None)
    for record in instance.fetch_observations(asked, limit=20).records:
        observation = record.event_log_entry.asset_observation
        metadata = observation.metadata if observation is not None else {}
        if PUBLISHED in metadata and RUN in metadata and metadata[RUN].value == run_id:
            return True
    return False
