"""The commands `branch create`, `branch list`, `branch delete` and `merge`."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated, Any

import typer

from lake_assets.cli.code_location import find_nosql, load_graph, open_lake
from lake_assets.cli.dagster_instance import open_instance
from lake_assets.cli.output import Json, emit, emit_all, moment, show
from lake_assets.cli.publishing import an_override
from lake_assets.cli.sinks import (
    WithSinks,
    bring_along,
    describe_behind,
    describe_brought,
    describe_events,
    sinks_below,
    with_sinks,
)
from lake_assets.lake.contract import MAIN

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a working branch.")]


def create(
    name: Name,
    start: Annotated[
        str, typer.Option("--from", metavar="REF", help="Where it begins: a commit of main, or of a working branch.")
    ] = MAIN,
    json: Json = False,
) -> None:
    """Make a working branch. No data are copied.

    Runs work on it with LAKE_BRANCH=NAME or with the run tag lake/branch=NAME. They begin at it and publish to it, by
    the same rule of checks as on main. `merge` brings it to main.
    """
    from lake_assets.runs.working_branches import create_working_branch

    with closing(open_lake()) as lake:
        begins = create_working_branch(lake, name, start)
    if json:
        emit({"name": name, "commit": begins.id, "from": start})
        return
    print(f"Made the working branch {name} at commit {begins.id}: runs with LAKE_BRANCH={name} work on it")


def list_(json: Json = False) -> None:
    """List the working branches.

    `changes` counts the paths that a merge into main would change, and `behind` those that main changed since.
    """
    with closing(open_lake()) as lake:
        records: list[dict[str, Any]] = []
        for name in lake.protected_branches():
            if name != MAIN:
                head = lake.head(name)
                record = {"name": name, "commit": head.id, "time": head.committed_at, "message": head.message}
                both = {"changes": len(lake.incoming(name, MAIN)), "behind": len(lake.incoming(MAIN, name))}
                records.append(record | both)
    if json:
        emit_all(records)
        return
    shown = (
        record
        | {
            "commit": record["commit"][:12],
            "time": moment(record["time"]),
            "message": record["message"].partition("\n")[0],
        }
        for record in records
    )
    show(shown, ("name", "commit", "time", "message", "changes", "behind"), right=("changes", "behind"))


def delete(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    json: Json = False,
) -> None:
    """Delete a working branch, and its tables.

    Asks for confirmation if main lacks changes of it. The commits stay readable by id until garbage collection. A
    branch that a run works on is kept. Topics and files of the branch are left to you.
    """
    from lake_assets.runs.working_branches import refuse_deletion

    with closing(open_lake()) as lake, open_instance() as instance:
        refuse_deletion(lake, instance, name)
        head, lacking = lake.head(name), len(lake.incoming(name, MAIN))
        if lacking and not yes:
            if json:
                emit({"name": name, "deleted": False, "commit": head.id, "changes": lacking, "tables": []})
                return
            typer.confirm(f"{MAIN} lacks {lacking} changed path(s) of {name}. Delete it?", abort=True)
        lake.delete_branch(name)
        tables = _drop_tables(name)
    if json:
        emit({"name": name, "deleted": True, "commit": head.id, "changes": lacking, "tables": tables})
        return
    print(f"Deleted the working branch {name}, which was at commit {head.id}")
    if tables:
        print(f"Dropped its tables: {', '.join(tables)}")


def _drop_tables(branch: str) -> list[str]:
    """Drop the tables of a branch, and return their names."""
    from lake_assets.resources.working_branch import apart

    store = find_nosql()
    if store is None:
        return []
    with closing(store):
        tables = [table for table in store.tables() if table.endswith(apart("", branch))]
        for table in tables:
            store.drop(table)
    return tables


def merge(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The branch to merge: a working branch, or main.")],
    into: Annotated[str, typer.Option("--into", metavar="BRANCH", help="The branch to merge into.")] = MAIN,
    override: Annotated[
        list[str] | None,
        typer.Option(metavar="CHECK", help="A check to override, such as prices:positive. Repeatable."),
    ] = None,
    by: Annotated[str, typer.Option(metavar="NAME", help="Who overrides. Default: your user name.")] = "",
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Reason, which is stored in the commit.")] = "",
    sinks: WithSinks = False,
    json: Json = False,
) -> None:
    """Merge a working branch into main, or into another branch.

    Every changed partition must have passed its blocking checks, on any branch, with the same files; or it is refused
    by name. The merged branch stays. If both branches changed the same paths, nothing is merged. Each partition is
    reported to Dagster. Tables and topics follow when Dagster's daemon runs (sensor sinks_follow_main), or at once
    with --sinks.
    """
    overridden = an_override(override or [], by, reason)
    with closing(open_lake()) as lake, open_instance() as instance:
        from lake_assets.runs.event_log import EventLog
        from lake_assets.runs.merging import merge_branch, merge_events

        graph = load_graph()
        result = merge_branch(lake, instance, graph, name, into, override=overridden)
        events = merge_events(lake, EventLog(instance), graph, result.commit) if result.merged else []
        for event in events:
            instance.report_runless_asset_event(event)
        brought = bring_along(lake, instance, into) if sinks else []
        if json:
            document = {"name": name, "into": into, "merged": result.merged, "commit": result.commit.id}
            changed = {"paths_changed": len(result.paths), "reported": len(events)}
            emit(document | changed | with_sinks(sinks, brought))
            return
        if not result.merged:
            print(f"{into} holds all of {name} already, at commit {result.commit.id}")
        else:
            print(f"Merged {name} into {into}: {len(result.paths)} path(s) changed, commit {result.commit.id}")
            print(describe_events(graph, events))
        if sinks:
            print(describe_brought(brought, into))
        elif behind := sinks_below(graph, events):
            print(describe_behind(behind))
