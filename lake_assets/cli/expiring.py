"""The command `expire`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Annotated

import typer

from lake_assets.cli.code_location import open_lake, reflected_commits
from lake_assets.cli.output import Json, amount, emit, moment, removable, show
from lake_assets.cli.places import path_of
from lake_assets.lake.contract import MAIN

if TYPE_CHECKING:
    from lake_assets.lake.contract import Removable, RetentionRule


def expire(
    older_than: Annotated[str, typer.Option(metavar="AGE", help="Minimal age of a commit, such as 90d or 12h.")],
    keep: Annotated[list[str] | None, typer.Option(metavar="TAG", help="Also keep this ref. Repeatable.")] = None,
    keep_prefix: Annotated[
        list[str] | None, typer.Option(metavar="PREFIX", help="Keep this folder in all commits. Repeatable.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove. Default: only show what would be removed.")] = False,
    json: Json = False,
) -> None:
    """Remove data that only old commits hold.

    The commits stay, with their ids and metadata. Reading their data is then an error. Kept are heads of branches,
    tags, the commits at which unpublished runs began, and everything since the oldest commit that a sink reflects.
    Shows what would be freed, and frees it with --yes. On lakeFS it sets the retention rule of lakeFS's own job.
    """
    before = datetime.now(timezone.utc) - _age(older_than)
    with closing(open_lake()) as lake:
        sinks: dict[str, list[str]] = {}
        for sink, commit in reflected_commits():
            sinks.setdefault(commit, []).append(sink)
        folders = [path_of(lake, prefix, MAIN) for prefix in keep_prefix or ()]
        found = lake.expire(before, keep or (), sorted(sinks), folders, yes=yes)
    if found.rule is not None:
        _say_rule(found.rule, yes, json)
    else:
        _say_found(found, sinks, before, yes, json)


def _say_found(found: Removable, sinks: Mapping[str, Sequence[str]], before: datetime, yes: bool, json: bool) -> None:
    held_by = [
        {"held_by": what, "commit": holder.commit}
        for holder in found.held_by
        for what in (sinks.get(holder.commit, ["sink"]) if holder.what == "sink" else [holder.what])
    ]
    if json:
        emit({"removed": yes, "before": before, "found": removable(found), "held_by": held_by})
    elif not found.count:
        print(f"Nothing to expire: no data that only commits older than {moment(before)} hold are left.")
        if held_by:
            print("What keeps older data than main's newest:")
            show(held_by)
    else:
        print("Freed:" if yes else "Would be freed:")
        show([{"kind": found.kind, "count": found.count, "frees": amount(found.frees)}], right=("count",))
        if not yes:
            print("Nothing was removed. `--yes` removes it permanently.")


def _say_rule(rule: RetentionRule, yes: bool, json: bool) -> None:
    if json:
        emit({"set": yes, "default_retention_days": rule.days, "job": rule.job})
        return
    what = "The rule is set" if yes else "With --yes the rule is set"
    print(
        f"{what}: data that only commits older than {rule.days} day(s) hold may be removed. lakeFS's own job removes "
        f"them: {rule.job}"
    )


def _age(text: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,5})([hdw])", text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is not an age: give a number and h, d or w, such as 90d")
    return int(match[1]) * {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}[match[2]]
