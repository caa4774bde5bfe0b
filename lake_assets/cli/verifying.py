"""The command `verify`."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from typing import Annotated

import typer

from lake_assets.cli.code_location import open_lake
from lake_assets.cli.dagster_instance import open_instance
from lake_assets.cli.output import Json, cell, emit, note, progress
from lake_assets.lake.contract import MAIN


def verify(
    ref: Annotated[str, typer.Argument(metavar="REF", help="A branch, a tag or a commit id.")] = MAIN,
    json: Json = False,
) -> None:
    """Compare the data of a ref with the recorded metadata.

    Compares each partition's commit with Dagster's event log (run, asset, partition, rows, data version), and each file
    with its size and checksum. Prints one line for each problem. The exit code is 1 if there are any.
    """
    with closing(open_lake()) as lake, open_instance() as instance:
        from lake_assets.runs.verification import Verification

        verification = Verification(lake, instance, ref)
        with progress("Verifying", verification.size) as advance:
            problems = list(verification.problems(advance))
    if json:
        emit(
            {
                "ref": ref,
                "commit": verification.commit.id,
                "places": len(verification.places),
                "files": len(verification.objects),
                "problems": [asdict(problem) for problem in problems],
            }
        )
    else:
        for problem in problems:
            print(cell(f"{problem.path}: {problem.reason}"))
        note(
            f"{ref} at {verification.commit.id}: {len(verification.places)} place(s), "
            f"{len(verification.objects)} file(s), {len(problems) or 'no'} problem(s)"
        )
    if problems:
        raise typer.Exit(1)
