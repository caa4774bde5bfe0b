"""Publishes the branch of a run that this Dagster does not know: the run was deleted, or its Dagster is lost.

The branch itself says what is needed: the run, the job and the target stand in its commits. The audit is as for any
other run, so checks that passed in a run that Dagster does not know have to be evaluated again or overridden.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from lake_assets.lake.contract import MAIN, Commit, Lake
from lake_assets.lake.errors import RefNotFound
from lake_assets.runs.audit import PublicationRefused, audit_publication
from lake_assets.runs.branch import branch_name, delete_run_branch, find_head, refuse_target
from lake_assets.runs.commit_metadata import CommitMetadata
from lake_assets.runs.lake_commits import external_events
from lake_assets.runs.publishing import Publication, merge_run, refuse_uncommitted

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from lake_assets._dagster import AssetGraph
    from lake_assets.lake.audit import Override


def publish_unknown(
    lake: Lake,
    instance: DagsterInstance,
    run_id: str,
    head: Commit,
    graph: AssetGraph,
    *,
    override: Override | None = None,
) -> Publication:
    """Merge the branch of an unknown run into its target, delete it, and report its data to Dagster.

    Parameters
    ----------
    lake
        The lake.
    instance
        The Dagster instance. It holds the results of checks.
    run_id
        Id of the run.
    head
        Head of its branch.
    graph
        The graph of the whole code location, with its blocking checks.
    override
        Checks that a person overrides.

    Raises
    ------
    PublicationRefused
        A blocking check has not passed, or the branch has uncommitted changes, or nothing to publish.
    Failure
        Another run changed the same paths on the target, or the target is gone.
    """
    made = _made_by(lake, run_id, head)
    into = made.branch or MAIN
    refuse_target(lake, into, f"Run {run_id} cannot be published")
    refuse_uncommitted(lake, branch_name(run_id))
    audit = audit_publication(lake, instance, graph, head, into=into, override=override)
    if not audit.paths:
        # The run may have just begun, so its branch is not removed.
        raise PublicationRefused(f"The branch {branch_name(run_id)!r} has nothing to publish.")
    commit = merge_run(lake, run_id, made.job, head=head, into=into, audit=audit)
    if find_head(lake, run_id) == head:
        with suppress(RefNotFound):
            delete_run_branch(lake, run_id)
    merged = CommitMetadata.parse(commit.metadata).branch_head == head.id
    for event in external_events(lake, graph, commit, into) if merged else ():
        instance.report_runless_asset_event(event)
    return Publication(commit, merged, len(audit.paths) if merged else 0, into)


def _made_by(lake: Lake, run_id: str, head: Commit) -> CommitMetadata:
    """Return what the newest commit that the run itself made says."""
    found = (CommitMetadata.parse(commit.metadata) for commit in lake.log(head.id))
    return next((made for made in found if made.run_id == run_id), CommitMetadata())
