"""The sensor `new_stock_files`: one run for each new or changed file of the source."""

# No postponed annotations here: Dagster reads them when the decorators run.

import hashlib
import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

from dagster import (
    DefaultSensorStatus,
    RunRequest,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from lake_assets.defs.stocks.jobs import stocks
from lake_assets.defs.stocks.partitions import HOURS, partition_key
from lake_assets.defs.stocks.settings import StocksSettings
from lake_assets.defs.stocks.source import StocksSourceResource
from lake_assets.sources import RetryLimits, Source, SourceError, SourceFile

RUNS_PER_TICK = 100
"""Maximal number of runs requested in a tick, so that years of files do not flood the queue at once."""

# A tick of Dagster may take 60 s: PROBING_SECONDS limits the start of the last probe, SENSOR_LIMITS its duration.
PROBING_SECONDS = 40.0
SENSOR_LIMITS = RetryLimits(tries=2, deadline=12, connect_timeout=5)


@sensor(
    job=stocks,
    minimum_interval_seconds=60,
    default_status=DefaultSensorStatus.STOPPED,
    description=(
        "Lists the source (or, if it cannot be listed, probes the last hours with HEAD) and requests one run for each "
        "new or changed file. A version of a file is never requested twice."
    ),
)
def new_stock_files(context: SensorEvaluationContext, stocks_source: StocksSourceResource) -> SensorResult | SkipReason:
    """Compare the source's files with the known ones, which the cursor stores as partition key to version."""
    source = stocks_source.open(limits=SENSOR_LIMITS)
    now = datetime.now(timezone.utc)
    seen: dict[str, str] = json.loads(context.cursor) if context.cursor else {}
    first = HOURS.start
    requests: list[RunRequest] = []
    waiting = 0
    try:
        for hour, file in _files(source, now):
            # A partition exists when its hour has ended. Requesting another one would fail this and all later ticks.
            if not first <= hour <= now - timedelta(hours=1):
                continue
            key = partition_key(hour)
            version = hashlib.sha256(f"{file.url} {file.version}".encode()).hexdigest()[:12]
            if seen.get(key) == version:
                continue
            if len(requests) == RUNS_PER_TICK:
                waiting += 1
                continue
            seen[key] = version
            tags = {"stocks/source_file": file.url, "stocks/source_version": version}
            requests.append(RunRequest(run_key=f"{key}:{version}", partition_key=key, tags=tags))
    except SourceError as error:
        if not requests:
            return SkipReason(f"{source.describe()} cannot be listed now: {error}. The next tick tries again.")
        context.log.warning("%s: listing ended early: %s", source.describe(), error)
    if not requests:
        return SkipReason(f"No new or changed file at {source.describe()}; {len(seen)} known.")
    if waiting:
        context.log.info("%d more files wait for the next ticks", waiting)
    return SensorResult(run_requests=requests, cursor=json.dumps(seen, separators=(",", ":")))


def _files(source: Source[datetime], now: datetime) -> Iterator[tuple[datetime, SourceFile]]:
    listed = source.files()
    if listed is not None:
        yield from sorted(listed, key=lambda item: item[0])
        return
    last = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    ends = time.monotonic() + PROBING_SECONDS
    # The newest first, so that a slow source skips only the oldest.
    for back in range(StocksSettings.read().probe_hours + 1):
        hour = last - timedelta(hours=back)
        file = source.head(hour)
        if file is not None:
            yield hour, file
        if time.monotonic() > ends:
            return
