"""Sensor `new_user_files`: a batch, and one run of it, for each new or changed file of the source."""

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
"""The rest follows with the next ticks, so that a first look at a full folder does not flood the queue."""


@sensor(
    job=users,
    minimum_interval_seconds=60,
    default_status=DefaultSensorStatus.STOPPED,
    description=(
        "Lists USERS_SOURCE (a folder or S3), makes each file a batch, and requests one run per new or changed file; "
        "the same version of a file never twice."
    ),
)
def new_user_files(context: SensorEvaluationContext) -> SensorResult | SkipReason:
    """Compare the source's files with those seen before, which the cursor keeps as batch to version."""
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
