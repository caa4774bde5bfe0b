"""The command `migrate`."""

from __future__ import annotations

import getpass
from contextlib import closing
from typing import Annotated

import typer

from lake_assets.cli.code_location import load_graph, open_lake
from lake_assets.cli.errors import CommandError
from lake_assets.cli.output import note
from lake_assets.lake.contract import MAIN
from lake_assets.lake.format import FORMAT, check_format


def migrate(
    yes: Annotated[bool, typer.Option("--yes", help="Do it; else only say what would be done.")] = False,
    by: Annotated[str, typer.Option(metavar="NAME", help="Who; it stands in the commit. You unless given.")] = "",
) -> None:
    """Bring a lake of an older format to that of this program.

    Moves, in a commit of its own, what lies elsewhere now: assets whose keys have prefixes, partitions in other zones
    than UTC, and what a stream goes on from. The bytes, data versions and lineage stay. The branches of runs are moved
    as well. Stop the daemon and running jobs first. Running it again does no harm.
    """
    with closing(open_lake(any_format=True)) as lake:
        from lake_assets.runs.migration import apply, migrate_main, plan

        if lake.format > FORMAT:
            check_format(lake.format, lake.repository)
        if lake.format == FORMAT:
            print(f"{lake.repository} has format {FORMAT} already: nothing to do")
            return
        graph = load_graph()
        wanted = {branch: plan(lake, graph, branch) for branch in lake.branches()}
        for branch, moves in wanted.items():
            for move in moves:
                print(f"{branch}: {move.asset}: {len(move.files)} file(s) in {len(move.places)} place(s), such as")
                new, old = next(iter(move.places.items()))
                print(f"    {old} -> {new}")
        if not yes:
            print(
                f"{lake.repository} has format {lake.format} and would get {FORMAT}: lake-assets migrate --yes does it"
            )
            return
        for branch, moves in wanted.items():
            if branch == MAIN and moves:
                commit = migrate_main(lake, moves, by or getpass.getuser())
                print(f"Moved on {MAIN}: commit {commit.id}")
            elif moves:
                apply(lake, branch, moves)
                note(f"Moved on {branch}: what it holds of {', '.join(move.asset for move in moves)} is checked anew.")
        left = [branch for branch in lake.branches() if plan(lake, graph, branch)]
        if left:
            raise CommandError(f"{', '.join(left)} got data meanwhile: stop what writes there, and run this again")
        lake.set_format(FORMAT)
        print(f"{lake.repository} has format {FORMAT} now")
