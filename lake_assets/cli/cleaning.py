"""The command `clean`: cleaning up after a trial."""

from __future__ import annotations

from contextlib import ExitStack, closing, suppress
from typing import Annotated, Any

import typer

from lake_assets.cli.code_location import find_nosql, open_lake
from lake_assets.cli.leftovers import Kept, Leftover, find_branches, find_caches, find_tables
from lake_assets.cli.output import Json, amount, emit, progress, show
from lake_assets.cli.runs import Runs
from lake_assets.lake.errors import RefNotFound
from lake_assets.nosql.contract import TableNotFound


def clean(
    yes: Annotated[bool, typer.Option("--yes", help="Delete. Default: only show what would be deleted.")] = False,
    tables: Annotated[bool, typer.Option(help="Tables of the NoSQL store.")] = True,
    branches: Annotated[bool, typer.Option(help="Branches of runs that have ended.")] = True,
    caches: Annotated[bool, typer.Option(help="Snapshots, and temporary files of killed writers.")] = True,
    json: Json = False,
) -> None:
    """Clean up after a trial.

    This covers tables, run branches, snapshots, and temporary files of killed writers. Shows what would be deleted,
    and deletes it with --yes.

    The data of main stay, and all commits stay readable by id. The next run of its job fills a table again from main.
    Also kept are the branches of active runs and of runs that this Dagster does not know, all tables while there is
    such a run, and what other processes are reading or writing. No process is stopped.
    """
    with ExitStack() as opened:
        lake = opened.enter_context(closing(open_lake()))
        store = find_nosql()
        if store is not None:
            opened.enter_context(closing(store))
        runs = Runs(lake)
        found: list[Leftover | Kept] = []
        # Those on a server are a team's, not a trial's.
        if tables and store is not None and store.folders:
            found += find_tables(store, runs)
        if branches:
            found += find_branches(lake, runs)
        if caches:
            found += find_caches(lake)
            if store is not None:
                found += find_caches(store)
        leftovers = [item for item in found if isinstance(item, Leftover)]
        kept = [item for item in found if isinstance(item, Kept)]
        if yes:
            with progress("Deleting", len(leftovers)) as advance:
                for item in leftovers:
                    # Another process may have deleted it already.
                    with suppress(RefNotFound, TableNotFound):
                        item.remove()
                    advance(1)
    if json:
        emit(
            {
                "deleted": yes,
                "found": [_record(item) for item in leftovers],
                "kept": [_why(item) for item in kept],
            }
        )
        return
    if not leftovers:
        print("Nothing to delete.")
    else:
        print("Deleted:" if yes else "Would be deleted:")
        some_free = any(item.frees for item in leftovers)
        show(_shown(item, with_frees=some_free) for item in leftovers)
    if kept:
        print("Kept:")
        show(map(_why, kept))
    if leftovers and not yes:
        print("Nothing was deleted. `lake-assets clean --yes` deletes it.")


def _record(item: Leftover) -> dict[str, Any]:
    return {"kind": item.kind, "name": item.name, "detail": item.detail, "frees": item.frees}


def _shown(item: Leftover, *, with_frees: bool) -> dict[str, Any]:
    record = _record(item) | {"frees": amount(item.frees) if item.frees else None}
    return record if with_frees else {name: value for name, value in record.items() if name != "frees"}


def _why(item: Kept) -> dict[str, str]:
    return {"kind": item.kind, "name": item.name, "reason": item.reason}
