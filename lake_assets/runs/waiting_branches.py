"""Looks after the branches of finished runs: publishes what no sensor has tried to, and records the checks of the rest.

What was done is told by the lake and by Dagster's run storage alone, so nothing is missed if a cursor is lost.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dagster import DagsterRunStatus, Failure

from lake_assets.lake.errors import LakeError, RefNotFound
from lake_assets.runs.branch import branch_name
from lake_assets.runs.own_runs import is_own_run
from lake_assets.runs.published_state import mark_unpublished, why_unpublished
from lake_assets.runs.publishing import publish
from lake_assets.runs.recorded_checks import is_record
from lake_assets.runs.recording import record_checks

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
    mark_unpublished(lake, instance, run, reason or why_unpublished(instance, run))
    return f"Branch {branch_name(run.run_id)} waits; the results of its checks were recorded with it"
