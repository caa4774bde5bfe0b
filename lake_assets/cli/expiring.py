"""The command `expire`."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from datetime import datetime, timedelta, timezone
from typing import Annotated

import typer

from lake_assets import environments
from lake_assets.cli.errors import CommandError
from lake_assets.cli.output import Json, amount, emit, moment, show
from lake_assets.lake.contract import Lake
from lake_assets.lake.embedded import EmbeddedLake
from lake_assets.lake.embedded.gc import Removable
from lake_assets.lake.lakefs import LakeFSLake

JOB = "https://docs.lakefs.io/howto/garbage-collection/"


def expire(
    older_than: Annotated[str, typer.Option(metavar="AGE", help="Age of a commit, such as 90d or 12h.")],
    keep: Annotated[list[str] | None, typer.Option(metavar="TAG", help="Keep this ref, too; once for each.")] = None,
    keep_prefix: Annotated[
        list[str] | None, typer.Option(metavar="PREFIX", help="Keep this folder in all commits; once for each.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove; without it, only say what would be.")] = False,
    json: Json = False,
) -> None:
    """Free the data that only old commits hold.

    Commits, their ids and what they say stay; reading their data is an error that says so. Kept are heads of branches,
    tags, what unpublished runs began at, and everything since the oldest commit that a sink reflects. Says what it
    would free, and frees it with --yes. On lakeFS it sets the retention rule; lakeFS's own job frees.
    """
    now = datetime.now(timezone.utc)
    before = now - _age(older_than)
    with closing(environments.open_lake()) as lake:
        sinks = sorted(set(_reflected(lake)))
        if isinstance(lake, EmbeddedLake):
            _say(lake.expire(before, keep or (), sinks, keep_prefix or (), yes=yes), before, yes, json)
            return
        if keep or keep_prefix:
            raise CommandError("lakeFS keeps heads of branches, and by age alone: leave out --keep and --keep-prefix")
        oldest = min([before, *(lake.head(commit).committed_at for commit in sinks)])
        _set_rule(lake, max(1, math.ceil((now - oldest) / timedelta(days=1))), yes, json)


def _say(found: Removable, before: datetime, yes: bool, json: bool) -> None:
    if json:
        emit({"removed": yes, "before": before, "found": asdict(found)})
    elif not found.count:
        print(f"Nothing to expire: what is older than {moment(before)} is kept, or gone already.")
    else:
        print("Freed:" if yes else "Would be freed:")
        show([{"kind": found.kind, "count": found.count, "frees": amount(found.frees)}], right=("count",))
        if not yes:
            print("Nothing was removed. With --yes it is, for ever.")


def _set_rule(lake: LakeFSLake, days: int, yes: bool, json: bool) -> None:
    if yes:
        lake.keep_days(days)
    if json:
        emit({"set": yes, "default_retention_days": days, "job": JOB})
        return
    what = "The rule is set" if yes else "With --yes the rule is set"
    print(f"{what}: what only commits older than {days} day(s) hold may go. lakeFS's own job removes it: {JOB}")


def _age(text: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,5})([hdw])", text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is no age: a number and h, d or w, such as 90d")
    return int(match[1]) * {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}[match[2]]


def _reflected(lake: Lake) -> Iterator[str]:
    """Yield the commits that sinks reflect. One that cannot be asked ends the command: what it needs is not known."""
    from lake_assets.defs.words.resources import words_outbox

    with closing(environments.open_nosql()) as store:
        for table in store.tables():
            if commit := store.source_commit(table):
                yield commit
    outbox = words_outbox(environments.kafka_resource()).outbox(lake.repository)
    if commit := outbox.delivered():
        yield commit
