"""The command `rollback`."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from typing import Annotated, Any

import typer

from lake_assets.cli.code_location import load_graph, open_lake, working_branch
from lake_assets.cli.dagster_instance import open_instance
from lake_assets.cli.options import person
from lake_assets.cli.output import Json, emit, note, show
from lake_assets.cli.places import path_of
from lake_assets.cli.sinks import (
    OfBranch,
    WithSinks,
    bring_along,
    describe_behind,
    describe_brought,
    describe_events,
    sinks_below,
    with_sinks,
)
from lake_assets.lake.contract import Diff


def rollback(
    to: Annotated[str, typer.Option("--to", metavar="COMMIT", help="A commit of the branch, or a tag of one.")],
    asset: Annotated[
        str, typer.Argument(metavar="[ASSET[/PARTITION]]", help="An asset, or a partition by its key or folder.")
    ] = "",
    everything: Annotated[bool, typer.Option("--all", help="Roll back all of the branch.")] = False,
    by: Annotated[str, typer.Option(metavar="NAME", help="Who rolls back. Default: your user name.")] = "",
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Reason, which is stored in the commit.")] = "by hand",
    branch: OfBranch = "",
    sinks: WithSinks = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    json: Json = False,
) -> None:
    """Restore an asset, or one of its partitions, to an earlier state.

    Its files are restored on a branch of their own and merged into main, or into a working branch. Shows what will
    change and asks for confirmation; with --json it only shows, unless --yes is given. Each partition is reported to
    Dagster. Tables and topics follow when Dagster's daemon runs (sensor sinks_follow_main), or at once with --sinks.
    """
    if bool(asset) == everything:
        raise typer.BadParameter("name an asset, or --all")
    with closing(open_lake()) as lake, open_instance() as instance:
        from lake_assets.runs.event_log import EventLog
        from lake_assets.runs.rollback import plan_rollback, roll_back, rollback_events

        branch = branch or working_branch()
        plan = plan_rollback(lake, to, path_of(lake, asset, branch, to) if asset else "", branch)
        document = {"asset": asset or None, "to": plan.target.id, "from": plan.head.id, **asdict(plan.diff)}
        if not plan.diff:
            brought = bring_along(lake, instance, branch) if sinks else []
            if json:
                emit(document | _done(False, plan.head.id, 0) | with_sinks(sinks, brought))
            else:
                print(f"{asset or 'All'} is as it was at {plan.target.id} already: nothing to roll back")
                if sinks:
                    print(describe_brought(brought, branch))
            return
        if not json:
            _show(plan.diff)
        if not yes:
            if json:
                emit(document | _done(False, plan.head.id, 0))
                return
            typer.confirm(f"Roll {asset or 'all'} back on {branch}?", abort=True)
        graph = load_graph()
        merge = roll_back(lake, instance, graph, plan, reason, by=person(by))
        events = rollback_events(lake, EventLog(instance), graph, merge)
        for event in events:
            instance.report_runless_asset_event(event)
        since = len(lake.diff(plan.target.id, merge.id, plan.prefix).paths)
        if not json:
            changed = f"{len(plan.diff.paths)} path(s) changed on {branch}, commit {merge.id}"
            print(f"Rolled back {asset or 'all'} to {plan.target.id}: {changed}")
            print(describe_events(graph, events))
        brought = bring_along(lake, instance, branch) if sinks else []
        if json:
            emit(document | _done(True, merge.id, len(events)) | with_sinks(sinks, brought))
        elif sinks:
            print(describe_brought(brought, branch))
        elif behind := sinks_below(graph, events):
            print(describe_behind(behind))
    if since:
        note(f"Other runs published {since} more path(s) meanwhile: they stay.")


def _done(rolled_back: bool, commit: str, reported: int) -> dict[str, Any]:
    return {"rolled_back": rolled_back, "commit": commit, "reported": reported}


def _show(diff: Diff) -> None:
    sides = (("added", diff.added), ("removed", diff.removed), ("changed", diff.changed))
    show({"change": change, "path": path} for change, paths in sides for path in paths)
