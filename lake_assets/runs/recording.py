"""Records the results of a run's checks with its branch, so that it can be published without Dagster's event log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lake_assets.resources.working_branch import in_metadata, target_of
from lake_assets.runs.branch import branch_name
from lake_assets.runs.commit_metadata import CommitMetadata
from lake_assets.runs.place_results import evaluations
from lake_assets.runs.recorded_checks import CHECKS, as_metadata

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

    from lake_assets._dagster import AssetGraph
    from lake_assets.lake.contract import Commit, Lake


def record_checks(lake: Lake, instance: DagsterInstance, graph: AssetGraph, run: DagsterRun, head: Commit) -> None:
    """Record the newest result of each blocking check on what a run's branch holds, with the branch.

    What is recorded already is not recorded again.

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
    record = as_metadata(results)
    if head.metadata.get(CHECKS) == record[CHECKS]:
        return
    metadata = CommitMetadata(run_id=run.run_id, job=run.job_name, branch=in_metadata(into)).to_metadata()
    message = f"Results of {len(results)} check(s) of run {run.run_id}"
    lake.note(branch_name(run.run_id), message, metadata | record)
