"""The command `publish`."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from lake_assets.cli.code_location import load_graph, open_lake
from lake_assets.cli.dagster_instance import dagster_home, open_instance
from lake_assets.cli.errors import CommandError
from lake_assets.cli.options import person
from lake_assets.cli.output import Json, emit
from lake_assets.cli.runs import find_run_id
from lake_assets.cli.sinks import (
    WithSinks,
    bring_along,
    describe_behind,
    describe_brought,
    sinks_of_paths,
    with_sinks,
)
from lake_assets.lake.audit import Override
from lake_assets.lake.contract import MAIN

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from lake_assets.lake.contract import Lake
    from lake_assets.runs.publishing import Publication


def publish(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's id. It may be abbreviated if the run has a branch.")
    ],
    override: Annotated[
        list[str] | None,
        typer.Option(metavar="CHECK", help="A check to override, such as prices:positive. Repeatable."),
    ] = None,
    by: Annotated[str, typer.Option(metavar="NAME", help="Who overrides. Default: your user name.")] = "",
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Reason, which is stored in the commit.")] = "",
    sinks: WithSinks = False,
    json: Json = False,
) -> None:
    """Merge a run's branch into main, or into the working branch that it began at.

    Every blocking check of the run's data must have passed on these data, in any run, or be overridden by name.
    Publishing a run again does nothing. Tables and topics follow when Dagster's daemon runs (sensor
    sinks_follow_main), or at once with --sinks.

    A run that this Dagster does not know is published by its branch alone, by the check results that the branch
    carries, or with an override. Be sure that no other Dagster still runs it.
    """
    overridden = an_override(override or [], by, reason)
    with closing(open_lake()) as lake, open_instance() as instance:
        from lake_assets.runs.commit_metadata import CommitMetadata
        from lake_assets.runs.publishing import publish as publish_run

        run_id = find_run_id(lake, run)
        record = instance.get_run_by_id(run_id)
        if record is None:
            result = _publish_unknown(lake, instance, run, run_id, overridden)
        elif record.is_finished:
            result = publish_run(lake, instance, record, load_graph(), override=overridden)
        else:
            raise CommandError(
                f"run {run_id} is {record.status.value} and may still write: wait until it ends, or "
                "terminate it in Dagster's UI"
            )
        published = CommitMetadata.parse(result.commit.metadata).run_id == run_id
        brought = bring_along(lake, instance, result.into) if sinks else []
        behind: list[str] = []
        if result.merged and result.into == MAIN and not (sinks or json):
            behind = sinks_of_paths(load_graph(), lake.diff(result.commit.parents[0], result.commit.id).paths)
    if json:
        emit(
            {
                "run": run_id,
                "published": published,
                "merged": result.merged,
                "commit": result.commit.id,
                "paths_changed": result.changed,
            }
            | with_sinks(sinks, brought)
        )
        return
    if result.merged:
        print(f"Published run {run_id}: {result.changed} path(s) changed on {result.into}, commit {result.commit.id}")
    elif published:
        print(f"Run {run_id} was published already, as commit {result.commit.id}")
    else:
        print(f"Run {run_id} has nothing to publish; {result.into} is at commit {result.commit.id}")
    if sinks:
        print(describe_brought(brought, result.into))
    elif behind:
        print(describe_behind(behind))


def _publish_unknown(
    lake: Lake, instance: DagsterInstance, run: str, run_id: str, override: Override | None
) -> Publication:
    from lake_assets.runs.audit import PublicationRefused
    from lake_assets.runs.branch import find_head, published_commit
    from lake_assets.runs.publishing import Publication
    from lake_assets.runs.unknown_runs import publish_unknown

    head = find_head(lake, run_id)
    if head is None:
        published = published_commit(lake, instance, run_id, thorough=True)
        if published is not None:
            return Publication(published, merged=False)
        raise CommandError(f"there is no branch or run {run!r}; `lake-assets branches` lists unpublished runs")
    try:
        return publish_unknown(lake, instance, run_id, head, load_graph(), override=override)
    except PublicationRefused as refusal:
        raise CommandError(
            f"Dagster in {dagster_home()} does not know run {run_id}: set DAGSTER_HOME to that of its launch. If that "
            f"is lost, the branch alone counts: {refusal.description}"
        ) from refusal


def an_override(checks: list[str], by: str, reason: str) -> Override | None:
    """Return the override that the options describe. None if they name no check."""
    if not checks:
        return None
    if not reason.strip():
        raise typer.BadParameter("an override needs a reason: give --reason TEXT")
    return Override(person(by), reason, tuple(checks))
