"""The command `series`."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime, timezone
from typing import Annotated

import typer

from lake_assets.cli.code_location import open_lake, working_branch
from lake_assets.cli.errors import CommandError
from lake_assets.cli.output import Json, emit_all, show
from lake_assets.layout.asset_folders import folders_of_name
from lake_assets.series.querying import Query, query
from lake_assets.series.samples import TIME, SeriesError
from lake_assets.series.times import parse_duration, parse_time


def series(
    metric: Annotated[
        str, typer.Argument(metavar="METRIC", help="An asset of series, or one field of it: ASSET.FIELD.")
    ],
    label: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Only these samples. Repeat it for more values.")
    ] = None,
    start: Annotated[
        str, typer.Option(metavar="TIME", help="now-1h, 2017-07-28T08:00, or milliseconds since 1970.")
    ] = "now-1h",
    end: Annotated[str, typer.Option(metavar="TIME", help="Samples at this time or later are left out.")] = "now",
    step: Annotated[str, typer.Option(metavar="DURATION", help="Length of intervals, such as 5m; one if empty.")] = "",
    agg: Annotated[
        str,
        typer.Option(
            metavar="NAMES", help="count, min, max, sum, avg, stddev, stdvar, rate, first, last; samples if empty."
        ),
    ] = "",
    group_by: Annotated[
        str | None, typer.Option(metavar="LABELS", help="Labels that are kept apart; '' for none. Default: all.")
    ] = None,
    ref: Annotated[str, typer.Option(metavar="REF", help="Default: LAKE_BRANCH, or else main.")] = "",
    json: Json = False,
) -> None:
    """Print samples of a time series, or sums over intervals and labels.

    Intervals begin at multiples of their length since 1970, in UTC. The variance is that of all samples of an interval,
    and the rate is the change in a second, of each label set from its first to its last sample.
    """
    name, _, field = metric.partition(".")
    now = datetime.now(timezone.utc)
    try:
        asked = Query(
            start=parse_time(start, now),
            end=parse_time(end, now),
            labels=_labels(label or []),
            fields=[field] if field else [],
            functions=_names(agg),
            step=parse_duration(step) if step else None,
            group_by=None if group_by is None else _names(group_by),
        )
        with closing(open_lake()) as lake:
            at = ref or working_branch()
            found = query(lake, at, _folder(name), asked)
    except (SeriesError, ValueError) as error:
        raise CommandError(str(error)) from error
    if json:
        emit_all({**row, TIME: row[TIME].isoformat()} for row in found.to_pylist())
    else:
        show(iter(found.to_pylist()), found.schema.names)


def _folder(name: str) -> str:
    return next(iter(folders_of_name(name)))


def _names(listed: str) -> list[str]:
    return [name.strip() for name in listed.split(",") if name.strip()]


def _labels(given: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals:
            raise SeriesError(f"--label {pair} is no pair: write NAME=VALUE")
        found.setdefault(name, []).append(value)
    return found
