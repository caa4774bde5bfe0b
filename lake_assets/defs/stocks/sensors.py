"""The sensor `new_stock_files`: one run for each new or changed file of the source."""

# No postponed annotations here: Dagster reads them when the decorators run.

import random
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone

from dagster import (
    DefaultSensorStatus,
    RunRequest,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from lake_assets.defs.stocks.assets import stocks_csv
from lake_assets.defs.stocks.jobs import stocks
from lake_assets.defs.stocks.partitions import HOURS, partition_key
from lake_assets.defs.stocks.settings import StocksSettings
from lake_assets.defs.stocks.source import StocksSourceResource
from lake_assets.resources.lake import LakeResource
from lake_assets.runs.new_files import FileRuns, NewFiles, interval
from lake_assets.sources import RetryLimits, Source, SourceError, SourceFile

RUNS_PER_TICK = 100
"""Maximal number of runs requested in a tick, so that years of files do not flood the queue at once."""

# A tick of Dagster may take 60 s: PROBING_SECONDS limits the start of the last probe, SENSOR_LIMITS its duration.
PROBING_SECONDS = 40.0
SILENT = 3
"""Number of hours without any answer, one after another, after which a tick does not ask for the rest."""
SENSOR_LIMITS = RetryLimits(tries=2, deadline=12, connect_timeout=5)
LISTING_LIMITS = RetryLimits(tries=2, deadline=45, connect_timeout=5)
"""A source that is listed is not probed. A bucket of many objects has many pages."""


FILES = FileRuns(stocks.name, stocks_csv.key, "stocks")


@sensor(
    job=stocks,
    minimum_interval_seconds=interval(StocksSettings.read().source),
    default_status=DefaultSensorStatus.STOPPED,
    description=(
        "Lists the source (or, if it cannot be listed, probes the last hours with HEAD) and requests one run for each "
        "file whose version `main` does not hold, unless a run for its hour is under way."
    ),
)
def new_stock_files(
    context: SensorEvaluationContext, stocks_source: StocksSourceResource, lake: LakeResource
) -> SensorResult | SkipReason:
    """Compare the source's files with what runs have brought to ``main``."""
    source = stocks_source.open(limits=SENSOR_LIMITS)
    now = datetime.now(timezone.utc)
    assert context.repository_def is not None
    graph = context.repository_def.asset_graph
    files = NewFiles(FILES, lake.lake, context.instance, graph=graph, cursor=context.cursor, branch=lake.branch)
    failed: list[str] = []
    requests: list[RunRequest] = []
    waiting = 0
    try:
        for hour, file in _files(source, stocks_source.open(limits=LISTING_LIMITS), now, failed, len(files) > 0):
            # A partition exists when its hour has ended. Requesting another one would fail this and all later ticks.
            if not HOURS.start <= hour <= now - timedelta(hours=1):
                continue
            if len(requests) == RUNS_PER_TICK:
                waiting += 1
            elif request := files.request(partition_key(hour), file.url, file.version):
                requests.append(request)
    except SourceError as error:
        if not requests:
            return SkipReason(f"{source.describe()} cannot be listed now: {error}. The next tick tries again.")
        context.log.warning("%s: listing ended early: %s", source.describe(), error)
    for failure in failed:
        context.log.warning("%s", failure)
    if waiting:
        context.log.info("%d more files wait for the next ticks", waiting)
    return SensorResult(
        requests, skip_reason=None if requests else _why_none(source, files, failed), cursor=files.cursor()
    )


def _why_none(source: Source[datetime], files: NewFiles, failed: Sequence[str]) -> str:
    told = [f"No new or changed file at {source.describe()}; {len(files)} known."]
    if files.under_way:
        told.append(f"Runs are under way for {len(files.under_way)} more.")
    if failed:
        told.append(f"{len(failed)} could not be asked for or read, such as {failed[0]}. The next tick tries again.")
    return " ".join(told)


def _files(
    source: Source[datetime], listing: Source[datetime], now: datetime, failed: list[str], any_known: bool
) -> Iterator[tuple[datetime, SourceFile]]:
    """Yield the source's files, the oldest first where it can be listed. Add to ``failed`` what cannot be read."""
    listed = listing.files(failed.append)
    if listed is not None:
        yield from sorted(listed, key=lambda item: item[0])
        return
    last = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    ends = time.monotonic() + PROBING_SECONDS
    hidden: list[str] = []
    unanswered = 0
    hours = [last - timedelta(hours=back) for back in range(StocksSettings.read().probe_hours + 1)]
    # The newest first. The others in any order, so that hours that hang do not keep the same ones waiting each time.
    for number, hour in enumerate([hours[0], *random.sample(hours[1:], len(hours) - 1)], 1):
        try:
            file = source.head(hour)
        except SourceError as error:
            # One hour's failure is no other's.
            (hidden if error.status == 403 else failed).append(str(error))
            unanswered = unanswered + 1 if error.status is None else 0
        else:
            unanswered = 0
            if file is not None:
                any_known = True
                yield hour, file
        if (time.monotonic() > ends or unanswered == SILENT) and number < len(hours):
            why = "nothing answers" if unanswered == SILENT else "the time for asking is over"
            failed.append(f"{len(hours) - number} more hour(s) are not asked for: {why}")
            break
    if not any_known:
        # After any file was seen this is a missing one: S3 answers so to who may not list the bucket.
        failed += hidden
