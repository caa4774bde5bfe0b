"""The command `delete`."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from lake_assets.cli.code_location import load_graph, open_lake, working_branch
from lake_assets.cli.dagster_instance import open_instance
from lake_assets.cli.options import person
from lake_assets.cli.output import Json, emit, show
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


def delete(
    asset: Annotated[
        str, typer.Argument(metavar="ASSET[/PARTITION]", help="An asset, or a partition by its key or folder.")
    ],
    by: Annotated[str, typer.Option(metavar="NAME", help="Who deletes. Default: your user name.")] = "",
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Reason, which is stored in the commit.")] = "",
    branch: OfBranch = "",
    sinks: WithSinks = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    json: Json = False,
) -> None:
    """Delete an asset's data from main, or from a working branch.

    Earlier commits keep the data, and `rollback` restores them. Shows what will be deleted and asks for confirmation;
    with --json it only shows, unless --yes is given. Each partition is reported to Dagster. Tables and topics follow
    when Dagster's daemon runs (sensor sinks_follow_main), or at once with --sinks. A stream starts over with its next
    run.
    """
    if yes and not reason.strip():
        raise typer.BadParameter("a deletion needs a reason: give --reason TEXT")
    with closing(open_lake()) as lake, open_instance() as instance:
        from lake_assets.runs.deleting import delete as take_off
        from lake_assets.runs.deleting import deletion_events, plan_deletion
        from lake_assets.runs.event_log import EventLog

        branch = branch or working_branch()
        plan = plan_deletion(lake, path_of(lake, asset, branch), branch)
        document = {"asset": asset, "place": plan.place, "from": plan.head.id, "paths": plan.paths}
        if json and not yes:
            emit(document | {"deleted": False, "commit": plan.head.id, "reported": 0})
            return
        if not json:
            show({"change": "removed", "path": path} for path in plan.paths)
        if not yes:
            typer.confirm(f"Delete {asset} from {branch}?", abort=True)
            reason = reason.strip() or typer.prompt("Why")
        graph = load_graph()
        merge = take_off(lake, instance, graph, plan, by=person(by), reason=reason)
        events = deletion_events(lake, EventLog(instance), graph, merge)
        for event in events:
            instance.report_runless_asset_event(event)
        if not json:
            print(f"Deleted {asset}: {len(plan.paths)} path(s) removed from {branch}, commit {merge.id}")
            print(describe_events(graph, events))
        brought = bring_along(lake, instance, branch) if sinks else []
        if json:
            emit(document | {"deleted": True, "commit": merge.id, "reported": len(events)} | with_sinks(sinks, brought))
        elif sinks:
            print(describe_brought(brought, branch))
        elif behind := sinks_below(graph, events):
            print(describe_behind(behind))
