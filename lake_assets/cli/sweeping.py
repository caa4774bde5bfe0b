"""The command `sweep`."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from typing import Annotated

import typer

from lake_assets.cli.code_location import open_lake
from lake_assets.cli.dagster_instance import open_instance
from lake_assets.cli.errors import CommandError
from lake_assets.cli.options import MOST_DAYS, not_nan
from lake_assets.cli.output import Json, emit, show
from lake_assets.cli.runs import find_run_id
from lake_assets.settings import RetentionSettings


def sweep(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="Only the branch of this run: its id, or the beginning of it.")
    ] = None,
    older_than: Annotated[
        float | None,
        typer.Option(
            metavar="DAYS",
            min=0,
            max=MOST_DAYS,
            callback=not_nan,
            help="Minimal age. Default: SWEEP_AFTER_DAYS, and 0 with RUN if this Dagster knows it.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")] = False,
    unknown_runs: Annotated[
        bool, typer.Option("--unknown-runs", help="Also those of runs that this Dagster does not know.")
    ] = False,
    json: Json = False,
) -> None:
    """Remove old branches of failed runs, or the branch of one failed run.

    Removes the branches of failed and cancelled runs, and of runs whose process was killed, if they are older than the
    limit. The branch of an active run is kept. The commits stay readable by id for another GC_GRACE_DAYS.

    The branch of a run that this Dagster does not know is kept, since another Dagster may still run it. If that Dagster
    is lost, --unknown-runs removes the branch, too.

    With RUN, the exit code is 1 if the branch of that run is kept.
    """
    with closing(open_lake()) as lake, open_instance() as instance:
        from lake_assets.runs import sweeping

        # Another Dagster may still execute a run that this one does not know.
        usual = 0 if run is not None and not unknown_runs else RetentionSettings.read().sweep_after_days
        limit = timedelta(days=usual if older_than is None else older_than)
        look = sweeping.branches_left if dry_run else sweeping.sweep
        run_id = find_run_id(lake, run) if run is not None else ""
        found = list(look(lake, instance, limit, unknown=unknown_runs, run_id=run_id))
    if run is not None and not found:
        raise CommandError(f"run {run!r} has no branch; `lake-assets branches` lists those that there are")
    removed = [{"name": branch.name, "reason": branch.reason} for branch in found if branch.remove]
    kept = [{"name": branch.name, "reason": branch.reason} for branch in found if not branch.remove]
    if json:
        emit({"removed": not dry_run, "found": removed, "kept": kept})
    else:
        _say(removed, kept, dry_run=dry_run)
    if run is not None and not removed:
        raise typer.Exit(1)


def _say(removed: list[dict[str, str]], kept: list[dict[str, str]], *, dry_run: bool) -> None:
    if removed:
        print("Would be removed:" if dry_run else "Removed:")
        show(removed)
    else:
        print("Nothing to remove.")
    if kept:
        print("Kept:")
        show(kept)
