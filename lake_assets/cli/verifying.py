"""The command `verify`."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from typing import Annotated

import typer

from lake_assets.cli.code_location import open_lake, working_branch
from lake_assets.cli.dagster_instance import open_instance
from lake_assets.cli.drift import verify_table
from lake_assets.cli.options import not_nan
from lake_assets.cli.output import Json, cell, emit, note, progress

Sample = Annotated[
    float,
    typer.Option(
        metavar="PERCENT",
        min=0,
        max=100,
        callback=not_nan,
        help="Read only so many of the files, others each time.",
    ),
]
Rate = Annotated[
    float | None,
    typer.Option(metavar="MB", min=0.001, max=1_000_000, callback=not_nan, help="Read at most so many MB a second."),
]


def verify(
    ref: Annotated[
        str,
        typer.Argument(
            metavar="REF", help="A branch, a tag, a commit id or a table's name. Default: LAKE_BRANCH, or else main."
        ),
    ] = "",
    repair: Annotated[bool, typer.Option("--repair", help="Mend a table that drifted.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Data of runs that this Dagster does not know are a problem, too.")
    ] = False,
    sample: Sample = 100,
    rate: Rate = None,
    json: Json = False,
) -> None:
    """Compare the data of a ref with the recorded metadata, both ways.

    Compares each partition's commit with Dagster's event log (run, asset, partition, rows, data version), and each file
    with its size and checksum, for which it is read and hashed. Also names what Dagster has materialized and main
    lacks. Prints one line for each problem, and what was hashed. The exit code is 1 if there are any problems.

    What this Dagster cannot know is counted apart, and is no problem: data of runs that were deleted, or of another
    Dagster.

    Of a table, compares the items with what its asset shows of the commit that the table reflects.
    """
    ref = ref or working_branch()
    if verify_table(ref, repair, json):
        return
    with closing(open_lake()) as lake, open_instance() as instance:
        from lake_assets.lake.scrub import Scrub
        from lake_assets.runs.verification import Verification

        verification = Verification(lake, instance, ref, Scrub(sample, rate))
        with progress("Verifying", verification.size) as advance:
            problems = list(verification.problems(advance))
    unknown = verification.unknown
    failed = problems or (strict and unknown)
    if json:
        emit(
            {
                "ref": ref,
                "commit": verification.commit.id,
                "places": len(verification.places),
                "files": len(verification.objects),
                "hashed": verification.scrub.hashed,
                "unhashed": verification.scrub.unhashed,
                "skipped": verification.scrub.skipped,
                "problems": [asdict(problem) for problem in problems],
                "unknown": [asdict(place) for place in unknown],
            }
        )
    else:
        for problem in [*problems, *unknown] if strict else problems:
            print(cell(f"{problem.path}: {problem.reason}"))
        note(
            f"{ref} at {verification.commit.id}: {len(verification.places)} place(s), "
            f"{len(verification.objects)} file(s), {len(problems) or 'no'} problem(s); {verification.scrub.describe()}"
        )
        if unknown and not strict:
            note(f"{len(unknown)} place(s) were made by runs unknown to this Dagster: --strict shows them")
    if failed:
        raise typer.Exit(1)
