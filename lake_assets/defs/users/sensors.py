"""The sensor `new_user_files`: it registers a batch and requests a run for each new or changed file of the source."""

# No postponed annotations here: Dagster reads them when the decorators run.

from dagster import AssetKey, DefaultSensorStatus, RunRequest, SensorEvaluationContext, SensorResult, SkipReason, sensor

from lake_assets import environments
from lake_assets.defs.users.batch_files import UsersSourceError
from lake_assets.defs.users.jobs import users
from lake_assets.defs.users.partitions import BATCHES, unusable
from lake_assets.defs.users.settings import UsersSettings
from lake_assets.defs.users.source import open_source
from lake_assets.resources.lake import LakeResource
from lake_assets.runs.new_files import FileRuns, NewFiles, interval
from lake_assets.settings import SourceSettings
from lake_assets.sources import RetryLimits

# Dagster gives a tick 60 s.
SENSOR_LIMITS = RetryLimits(tries=2, deadline=40, connect_timeout=5)

RUNS_PER_TICK = 100
"""Maximal number of runs requested in a tick, so that a full folder does not flood the queue at once."""


FILES = FileRuns(users.name, AssetKey("users"), "users")


@sensor(
    job=users,
    minimum_interval_seconds=interval(UsersSettings.read().source),
    default_status=DefaultSensorStatus.STOPPED,
    description=(
        "Lists USERS_SOURCE (a folder or S3), registers each file as a batch, and requests one run for each file whose "
        "version `main` does not hold, unless a run for its batch is under way."
    ),
)
def new_user_files(context: SensorEvaluationContext, lake: LakeResource) -> SensorResult | SkipReason:
    """Compare the source's files with what runs have brought to ``main``."""
    try:
        source = open_source(
            UsersSettings.read().source,
            s3=environments.s3_settings().client,
            limits=SENSOR_LIMITS,
            links_outside=SourceSettings.read().links_outside,
        )
        listed = source.batches()
        if listed is None:
            return SkipReason(f"USERS_SOURCE is {source.describe()}: {source.why_unlisted()}.")
        found = list(listed)
    except UsersSourceError as error:
        return SkipReason(f"{error}. The next tick tries again.")
    assert context.repository_def is not None
    graph = context.repository_def.asset_graph
    files = NewFiles(FILES, lake.lake, context.instance, graph=graph, cursor=context.cursor, branch=lake.branch)
    requests: list[RunRequest] = []
    waiting = 0
    for warning in source.passed_over():
        context.log.warning(warning)
    for key, stamp in found:
        if why := unusable(key):
            context.log.warning("%s cannot be a batch: %s; rename the file", source.url(key), why)
            continue
        if len(requests) == RUNS_PER_TICK:
            waiting += 1
        elif request := files.request(key, source.url(key), stamp):
            requests.append(request)
    if waiting:
        context.log.info("%d more files wait for the next ticks", waiting)
    if not requests:
        under_way = f" Runs are under way for {len(files.under_way)} more." if files.under_way else ""
        told = f"No new or changed file at {source.describe()}; {len(files)} known.{under_way}"
        return SensorResult(skip_reason=told, cursor=files.cursor())
    return SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=[BATCHES.build_add_request([str(request.partition_key) for request in requests])],
        cursor=files.cursor(),
    )
