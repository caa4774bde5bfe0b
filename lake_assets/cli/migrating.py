"""The command `migrate`."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from lake_assets.cli.code_location import load_graph, open_lake
from lake_assets.cli.errors import CommandError
from lake_assets.cli.options import person
from lake_assets.cli.output import note
from lake_assets.lake.contract import MAIN
from lake_assets.lake.format import FORMAT, check_format


def migrate(
    yes: Annotated[bool, typer.Option("--yes", help="Migrate. Default: only show what would be done.")] = False,
    by: Annotated[
        str, typer.Option(metavar="NAME", help="Who migrates, for the commit. Default: your user name.")
    ] = "",
) -> None:
    """Migrate a lake of an older format to the format of this program.

    One commit moves the files whose path has changed: those of assets whose keys have prefixes, of partitions in time
    zones other than UTC, and of the state of streams. Bytes, data versions and lineage stay the same. The branches of
    runs are migrated, too. Stop the daemon and running jobs first. It is safe to run this again.
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
            print(f"{lake.repository} has format {lake.format}: `lake-assets migrate --yes` migrates it to {FORMAT}")
            return
        for branch, moves in wanted.items():
            if branch == MAIN and moves:
                commit = migrate_main(lake, moves, person(by))
                print(f"Moved on {MAIN}: commit {commit.id}")
            elif moves:
                apply(lake, branch, moves)
                note(f"Moved on {branch}: the data of {', '.join(move.asset for move in moves)} must be checked again.")
        left = [branch for branch in lake.branches() if plan(lake, graph, branch)]
        if left:
            raise CommandError(f"{', '.join(left)} got new data meanwhile: stop all writers, and run this again")
        lake.set_format(FORMAT)
        print(f"{lake.repository} has format {FORMAT} now")
