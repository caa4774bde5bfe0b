"""The command `gc`."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from typing import Annotated

import typer

from lake_assets.cli.code_location import open_lake
from lake_assets.cli.options import MOST_DAYS, not_nan
from lake_assets.cli.output import Json, amount, emit, removable, show
from lake_assets.settings import RetentionSettings


def gc(
    yes: Annotated[bool, typer.Option("--yes", help="Remove. Default: only show what would be removed.")] = False,
    grace: Annotated[
        float | None,
        typer.Option(
            metavar="DAYS", min=0, max=MOST_DAYS, callback=not_nan, help="Grace time. Default: GC_GRACE_DAYS."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Pack Git's objects, and remove objects that no branch, tag or reader needs.

    The data of deleted branches, and data that were written but never committed, are kept for the grace time. Runs may
    be active meanwhile. Shows what would be freed, and frees it with --yes.
    """
    limit = timedelta(days=RetentionSettings.read().gc_grace_days if grace is None else grace)
    with closing(open_lake()) as lake:
        found = lake.collect_garbage(limit) if yes else lake.garbage(limit)
    if json:
        emit({"removed": yes, "found": [removable(item) for item in found]})
        return
    if not found:
        print("Nothing to collect.")
        return
    print("Freed:" if yes else "Would be freed:")
    show(({"kind": item.kind, "count": item.count, "frees": amount(item.frees)} for item in found), right=("count",))
    if not yes:
        print("Nothing was removed. `lake-assets gc --yes` removes it.")
