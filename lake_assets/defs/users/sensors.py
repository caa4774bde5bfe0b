"""The sensor `new_user_files`: it registers a batch and requests a run for each new or changed file of the source."""

# No postponed annotations here: Dagster reads them when the decorators run.

import hashlib
import json

from dagster import DefaultSensorStatus, RunRequest, SensorEvaluationContext, SensorResult, SkipReason, sensor

from lake_assets import environments
from lake_assets.defs.users.jobs import users
from lake_assets.defs.users.partitions import BATCHES, unusable
from lake_assets.defs.users.settings import UsersSettings
from lake_assets.defs.users.source import UsersSourceError, open_source
from lake_assets.sources import RetryLimits

# Dagster gives a tick 60 s.
SENSOR_LIMITS = RetryLimits(tries=2, deadline=40, connect_timeout=5)

RUNS_PER_TICK = 100
"""Maximal number of runs requested in a tick, so that a full folder does not flood the queue at once."""


@sensor(
    job=users,
    minimum_interval_seconds=60,
    default_status=DefaultSensorStatus.STOPPED,
    description=(
        "Lists USERS_SOURCE (a folder or S3), registers each file as a batch, and requests one run for each new or "
        "changed file. A version of a file is never requested twice."
    ),
)
def new_user_files(context: SensorEvaluationContext) -> SensorResult | SkipReason:
    """Compare the source's files with the known ones, which the cursor stores as batch to version."""
    seen: dict[str, str] = json.loads(context.cursor) if context.cursor else {}
    try:
        source = open_source(UsersSettings.read().source, s3=environments.s3_settings().client, limits=SENSOR_LIMITS)
        listed = source.batches()
        if listed is None:
            return SkipReason(f"USERS_SOURCE is {source.describe()}: {source.why_unlisted()}.")
        found = list(listed)
    except UsersSourceError as error:
        return SkipReason(f"{error}. The next tick tries again.")
    requests: list[RunRequest] = []
    waiting = 0
    for warning in source.passed_over():
        context.log.warning(warning)
    for key, stamp in found:
        if why := unusable(key):
            context.log.warning("%s cannot be a batch: %s; rename the file", source.url(key), why)
            continue
        version = hashlib.sha256(f"{source.url(key)} {stamp}".encode()).hexdigest()[:12]
        if seen.get(key) == version:
            continue
        if len(requests) == RUNS_PER_TICK:
            waiting += 1
            continue
        seen[key] = version
        tags = {"users/source_file": source.url(key), "users/source_version": version}
        requests.append(RunRequest(run_key=f"{key}:{version}", partition_key=key, tags=tags))
    if not requests:
        return SkipReason(f"No new or changed file at {source.describe()}; {len(seen)} known.")
    if waiting:
        context.log.info("%d more files wait for the next ticks", waiting)
    return SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=[BATCHES.build_add_request([str(request.partition_key) for request in requests])],
        cursor=json.dumps(seen, separators=(",", ":")),
    )
