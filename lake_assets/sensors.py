"""Factories of the sensors that a code location with a lake needs."""

# No postponed annotations here: Dagster reads them when the decorators run.

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import cast

from dagster import (
    AssetKey,
    AssetMaterialization,
    AssetSelection,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunRequest,
    RunStatusSensorContext,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    run_status_sensor,
    sensor,
)

from lake_assets.lake.errors import NotSupported
from lake_assets.resources.lake import LakeResource
from lake_assets.runs.audit import PublicationRefused
from lake_assets.runs.branch import branch_name, find_head, head_of, refuse_lost
from lake_assets.runs.commit_metadata import CommitMetadata
from lake_assets.runs.event_log import EventLog
from lake_assets.runs.lake_commits import commits_since, events_of, unreported_commits
from lake_assets.runs.lock import is_alive, unfinished_runs
from lake_assets.runs.own_runs import is_own_run, take_in_runs
from lake_assets.runs.published_state import mark_canceled_runs, mark_failed_runs
from lake_assets.runs.publishing import LAYER, publish
from lake_assets.runs.sinks import RUNS_PER_TICK, SINK, Requested, Sink, requests_for, sinks_of
from lake_assets.runs.sweeping import sweep
from lake_assets.runs.waiting_branches import look_after

SWEEP_AFTER = timedelta(days=7)
GC_GRACE = timedelta(days=14)
RECHECKED = timedelta(minutes=5)


def lake_sensors(*, sweep_after: timedelta = SWEEP_AFTER, gc_grace: timedelta = GC_GRACE) -> list[SensorDefinition]:
    """Return the sensors that every code location with a lake needs. They use only the resource ``lake``.

    Parameters
    ----------
    sweep_after
        How long the branch of a failed run is kept for inspection.
    gc_grace
        How long an embedded lake keeps data that nothing refers to any more.
    """
    return [
        publish_runs(),
        waiting_branches(),
        mark_failed_runs,
        mark_canceled_runs,
        command_line_runs(),
        lake_commits(),
        sweep_branches(sweep_after),
        collect_garbage(gc_grace),
    ]


def publish_runs() -> SensorDefinition:
    """Return the sensor that publishes the branches of successful runs."""

    @run_status_sensor(
        name="publish_runs",
        run_status=DagsterRunStatus.SUCCESS,
        default_status=DefaultSensorStatus.RUNNING,
        # Dagster's own filter passes over runs of `dagster job execute`; see is_own_run.
        monitor_all_code_locations=True,
        description=(
            "Publishes successful runs that did not select a `*_published` asset, if every blocking check of what "
            "they materialized has passed. Other branches wait for `lake-assets publish RUN`."
        ),
    )
    def evaluate(context: RunStatusSensorContext, lake: LakeResource) -> None:
        run = context.dagster_run
        repository = context.repository_def
        assert repository is not None
        if not is_own_run(repository, context.instance, run):
            return
        if find_head(lake.lake, run.run_id) is None:
            # Nothing else will publish this run, so lost data must be reported here.
            refuse_lost(lake.lake, context.instance, run)
            # No SkipReason: it would end the tick, and each run of a backfill would delay the next by 30 s.
            context.log.debug("Run %s has no branch: published already, or nothing to publish", run.run_id)
            return
        try:
            result = publish(lake.lake, context.instance, run, repository.asset_graph)
        except PublicationRefused as refusal:
            name = branch_name(run.run_id)
            context.log.warning(
                "Branch %s waits for `lake-assets publish %s`: %s", name, run.run_id, refusal.description
            )
            return
        context.log.info("Published run %s as commit %s", run.run_id, result.commit.id)

    return evaluate


def waiting_branches() -> SensorDefinition:
    """Return the sensor that looks after the branches of finished runs, with no cursor that could be lost."""

    @sensor(
        name="waiting_branches",
        minimum_interval_seconds=60,
        default_status=DefaultSensorStatus.RUNNING,
        description=(
            "Publishes the branch of each successful run that `publish_runs` has missed, and records the results of "
            "its checks with each branch that waits. So it can be published also when Dagster's storage is lost."
        ),
    )
    def evaluate(context: SensorEvaluationContext, lake: LakeResource) -> SkipReason:
        repository = context.repository_def
        assert repository is not None
        done = list(look_after(lake.lake, context.instance, repository))
        for line in done:
            context.log.info("%s", line)
        return SkipReason("; ".join(done) or "No branch was left behind.")

    return evaluate


def command_line_runs() -> SensorDefinition:
    """Return the sensor that puts runs of the ``dagster`` command with ``-m`` on the timeline."""

    @sensor(
        name="command_line_runs",
        minimum_interval_seconds=30,
        default_status=DefaultSensorStatus.RUNNING,
        description=(
            "Records this code location with finished runs of `dagster job execute -m` and "
            "`dagster asset materialize -m`, so that the timeline shows them."
        ),
    )
    def evaluate(context: SensorEvaluationContext) -> SensorResult | SkipReason:
        if context.code_location_origin is None:
            return SkipReason("This tick was evaluated without a code location.")
        now = datetime.now(timezone.utc)
        seen = _time_of(context.cursor)
        # A run may have changed while the last tick was under way. Without a cursor, the timeline's day is looked at.
        since = min(seen, now) - RECHECKED if seen is not None else now - timedelta(days=1)
        taken = [run.run_id for run in take_in_runs(context, since)]
        reason = f"On the timeline now: {', '.join(taken)}" if taken else "Every run has its location."
        return SensorResult(skip_reason=reason, cursor=now.isoformat())

    return evaluate


def _time_of(cursor: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(cursor or "").astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None


def lake_commits() -> SensorDefinition:
    """Return the sensor that reports commits on ``main`` that no run made to Dagster."""

    @sensor(
        name="lake_commits",
        minimum_interval_seconds=60,
        default_status=DefaultSensorStatus.RUNNING,
        description=(
            "Reports each commit on `main`, or on the working branch of the lake resource, that no run made as "
            "materializations of the assets that it changed, so that "
            "downstream assets become stale. Also reports rollbacks and deletions that were killed before they "
            "reported themselves."
        ),
    )
    def evaluate(context: SensorEvaluationContext, lake: LakeResource) -> SensorResult | SkipReason:
        repository = context.repository_def
        assert repository is not None
        head = head_of(lake.lake, lake.branch)
        if context.cursor == head.id:
            return SkipReason(f"{lake.branch} is still at {head.id}.")
        # The cursor is the last commit seen. It may be lost, or of another lake.
        found = list(commits_since(lake.lake, head, context.cursor)) if context.cursor else []
        if not found or context.cursor not in found[-1].parents[:1]:
            found = unreported_commits(lake.lake, context.instance, repository.asset_graph, head, lake.branch)
        log = EventLog(context.instance)
        events: list[AssetMaterialization] = []
        for commit in reversed(found):
            events += events_of(lake.lake, log, repository.asset_graph, commit, lake.branch)
        for event in events:
            context.log.info("%s: %s", event.description, event.asset_key.to_user_string())
        return SensorResult(
            asset_events=events,
            cursor=head.id,
            skip_reason=None
            if events
            else f"{len(found)} new commit(s) on {lake.branch}: runs made them, or they changed no asset.",
        )

    return evaluate


def sweep_branches(after: timedelta = SWEEP_AFTER) -> SensorDefinition:
    """Return the sensor that removes the branches of failed runs.

    Parameters
    ----------
    after
        How long a branch is kept for inspection.
    """

    @sensor(
        name="sweep_branches",
        minimum_interval_seconds=24 * 3600,
        default_status=DefaultSensorStatus.RUNNING,
        description=(
            "Once a day: removes the branches of failed, cancelled and killed runs that are older than "
            f"{_days(after)}. The branch of an unfinished run is kept. The commits stay readable by id until garbage "
            "collection."
        ),
    )
    def evaluate(context: SensorEvaluationContext, lake: LakeResource) -> SkipReason:
        found = sweep(lake.lake, context.instance, after)
        for branch in found:
            context.log.info("%s %s: %s", "Removed" if branch.remove else "Kept", branch.name, branch.reason)
        removed = [branch.name for branch in found if branch.remove]
        return SkipReason(f"Removed {', '.join(removed) or 'no branch'}; kept {len(found) - len(removed)}.")

    return evaluate


def collect_garbage(grace: timedelta = GC_GRACE) -> SensorDefinition:
    """Return the sensor that removes data that nothing refers to from an embedded lake.

    Parameters
    ----------
    grace
        How long such data are kept.
    """

    @sensor(
        name="collect_garbage",
        minimum_interval_seconds=7 * 24 * 3600,
        default_status=DefaultSensorStatus.RUNNING,
        description=(
            "Once a week: packs the lake's Git objects, and removes data that no branch, tag or reader has needed for "
            f"{_days(grace)}."
        ),
    )
    def evaluate(context: SensorEvaluationContext, lake: LakeResource) -> SkipReason:
        try:
            freed = lake.lake.collect_garbage(grace)
        except NotSupported as reason:
            return SkipReason(str(reason))
        for item in freed:
            context.log.info("Removed %s %s(s), %s bytes", item.count, item.kind, item.frees)
        return SkipReason(f"Freed {sum(item.frees for item in freed):,} bytes.")

    return evaluate


def sinks_follow_main(*resource_keys: str) -> SensorDefinition:
    """Return the sensor that updates sinks to ``main``'s head if no run of their job does it.

    A sink is an asset with the tag ``layer: sink``. The resource that it writes to knows which commit it reflects.

    Parameters
    ----------
    resource_keys
        Keys of the resources that sinks write to. Each resource is a :class:`~lake_assets.runs.sinks.Sink`.

    Examples
    --------
    >>> sensor = sinks_follow_main("nosql", "outbox")
    """

    @sensor(
        name="sinks_follow_main",
        target=AssetSelection.tag(LAYER, SINK),
        minimum_interval_seconds=30,
        default_status=DefaultSensorStatus.RUNNING,
        required_resource_keys={"lake", *resource_keys},
        description=(
            "Materializes sinks that are behind `main`, or behind the working branch of the lake resource: after a "
            "rollback, after a run that was published without its "
            "sinks, or after a commit that no run made."
        ),
    )
    def evaluate(context: SensorEvaluationContext) -> SensorResult | SkipReason:
        repository = context.repository_def
        assert repository is not None
        resource = cast("LakeResource", context.resources.lake)
        lake, branch = resource.lake, resource.branch
        head = head_of(lake, branch)
        asked = Requested.read(context.cursor, head.id)
        reflected: dict[AssetKey, str | None] = {}
        unknown: list[str] = []
        for asset, resource_key in sinks_of(repository.asset_graph, resource_keys):
            sink: Sink = getattr(context.resources, resource_key)
            try:
                reflected[asset] = sink.reflected_commit(asset)
            except Exception as error:  # noqa: BLE001 -- an error of one sink must not stop the others
                unknown.append(f"{asset.to_user_string()}: {error}")
        if not unknown and context.cursor == asked.after(0, reflected):
            return SkipReason(f"{branch} is still at {head.id}, and every sink as it was.")
        publisher = context.instance.get_run_by_id(CommitMetadata.parse(head.metadata).run_id or "")
        if publisher is not None and is_alive(context.instance, publisher):
            name = f"Run {publisher.run_id}, which published {head.id},"
            return SkipReason(f"{name} is still running: it updates its sinks itself.")
        requests: list[RunRequest] = []
        under_way: list[str] = []
        living = [run for run in unfinished_runs(context.instance) if is_alive(context.instance, run)]
        for asset, commit in reflected.items():
            needed = requests_for(lake, repository.asset_graph, asset, commit, head)
            if needed and any(asset in (run.asset_selection or ()) for run in living):
                under_way.append(f"{asset.to_user_string()}: a run that updates it is under way")
                continue
            requests += needed
        if requests and (left := asked.pause()) > 0:
            return SkipReason(
                f"{len(requests)} run(s) for {head.id} did not bring the sinks there: see why. "
                f"The next is asked for in {left:.0f} s; at once when this sensor's cursor is reset."
            )
        if not requests and under_way:
            return SkipReason("; ".join([*unknown, *under_way]))
        skip = f"Every sink holds what {branch} holds at {head.id}."
        # If a sink did not answer, the next tick asks again.
        cursor = context.cursor if unknown else asked.after(len(requests), reflected)
        return _sinks_result(context, requests, unknown, cursor, skip)

    return evaluate


def _sinks_result(
    context: SensorEvaluationContext,
    requests: Sequence[RunRequest],
    unknown: Sequence[str],
    cursor: str | None,
    even: str,
) -> SensorResult:
    if len(requests) > RUNS_PER_TICK:
        context.log.warning("%d runs are needed; the first %d are requested", len(requests), RUNS_PER_TICK)
    for problem in unknown:
        context.log.warning("%s", problem)
    skip = "; ".join(unknown) or even
    return SensorResult(list(requests[:RUNS_PER_TICK]), skip_reason=None if requests else skip, cursor=cursor)


def _days(duration: timedelta) -> str:
    days = duration / timedelta(days=1)
    return f"{days:g} day{'s' if days != 1 else ''}"
