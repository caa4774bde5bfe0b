"""Factories of the sensors that a code location on a lake wants."""

# No postponed annotations here: Dagster reads them when the decorators run.

from collections.abc import Sequence
from datetime import timedelta
from typing import cast

from dagster import (
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

from lake_assets.lake.contract import MAIN
from lake_assets.lake.errors import NotSupported
from lake_assets.resources.lake import LakeResource
from lake_assets.runs.audit import PublicationRefused
from lake_assets.runs.branch import branch_name, find_head, refuse_lost
from lake_assets.runs.commit_metadata import CommitMetadata
from lake_assets.runs.event_log import EventLog
from lake_assets.runs.lake_commits import commits_since, events_of
from lake_assets.runs.lock import is_alive
from lake_assets.runs.published_state import mark_canceled_runs, mark_failed_runs, unpublished_observations
from lake_assets.runs.publishing import LAYER, publish
from lake_assets.runs.sinks import RUNS_PER_TICK, SINK, Sink, requests_for, sinks_of
from lake_assets.runs.sweeping import sweep

SWEEP_AFTER = timedelta(days=7)
GC_GRACE = timedelta(days=14)


def lake_sensors(*, sweep_after: timedelta = SWEEP_AFTER, gc_grace: timedelta = GC_GRACE) -> list[SensorDefinition]:
    """Return the sensors that every code location on a lake wants; they need the resource ``lake`` alone.

    Parameters
    ----------
    sweep_after
        How long the branch of a failed run stays for inspection.
    gc_grace
        How long data that nothing needs any more stay in an embedded lake.
    """
    return [
        publish_runs(),
        mark_failed_runs,
        mark_canceled_runs,
        lake_commits(),
        sweep_branches(sweep_after),
        collect_garbage(gc_grace),
    ]


def publish_runs() -> SensorDefinition:
    """Return the sensor that publishes what a successful run left on its branch."""

    @run_status_sensor(
        name="publish_runs",
        run_status=DagsterRunStatus.SUCCESS,
        default_status=DefaultSensorStatus.RUNNING,
        monitor_all_code_locations=False,
        description=(
            "Publishes successful runs that did not select a `*_published` asset, when every blocking check of what "
            "they materialized ran and passed; other branches wait for `lake-assets publish RUN`."
        ),
    )
    def evaluate(context: RunStatusSensorContext, lake: LakeResource) -> None:
        run = context.dagster_run
        if find_head(lake.lake, run.run_id) is None:
            # Nobody publishes it any more: what is lost must be said here.
            refuse_lost(lake.lake, context.instance, run)
            # No SkipReason: it ends the tick, and a backfill's runs would keep the next one waiting for 30 s each.
            context.log.debug("Run %s has no branch: published already, or nothing to publish", run.run_id)
            return
        repository = context.repository_def
        assert repository is not None
        try:
            result = publish(lake.lake, context.instance, run, repository.asset_graph)
        except PublicationRefused as refusal:
            name = branch_name(run.run_id)
            context.log.warning(
                "Branch %s waits for `lake-assets publish %s`: %s", name, run.run_id, refusal.description
            )
            for observation in unpublished_observations(lake.lake, context.instance, run, str(refusal.description)):
                context.instance.report_runless_asset_event(observation)
            return
        context.log.info("Published run %s as commit %s", run.run_id, result.commit.id)

    return evaluate


def lake_commits() -> SensorDefinition:
    """Return the sensor that tells Dagster of commits on ``main`` that no run made."""

    @sensor(
        name="lake_commits",
        minimum_interval_seconds=60,
        default_status=DefaultSensorStatus.RUNNING,
        description=(
            "Reports a commit on `main` that no run made as a materialization of the assets whose prefix it changed, "
            "so that what is downstream becomes stale. Also makes up for a rollback, or a deletion, that was killed "
            "before it told Dagster."
        ),
    )
    def evaluate(context: SensorEvaluationContext, lake: LakeResource) -> SensorResult | SkipReason:
        repository = context.repository_def
        assert repository is not None
        head = lake.lake.head(MAIN)
        if context.cursor == head.id:
            return SkipReason(f"{MAIN} is still at {head.id}.")
        # The cursor is the last commit seen.
        found = list(commits_since(lake.lake, head, context.cursor)) if context.cursor else None
        if found is None or not found or context.cursor not in found[-1].parents[:1]:
            # The first look, or another lake than before: what is there is not news.
            return SensorResult(skip_reason=f"{MAIN} is at {head.id}: watched from here on.", cursor=head.id)
        log = EventLog(context.instance)
        events: list[AssetMaterialization] = []
        for commit in reversed(found):
            events += events_of(lake.lake, log, repository.asset_graph, commit)
        for event in events:
            context.log.info("%s: %s", event.description, event.asset_key.to_user_string())
        return SensorResult(
            asset_events=events,
            cursor=head.id,
            skip_reason=None if events else f"{len(found)} commit(s) since the last look, all of runs, or of no asset.",
        )

    return evaluate


def sweep_branches(after: timedelta = SWEEP_AFTER) -> SensorDefinition:
    """Return the sensor that removes the branches of failed runs.

    Parameters
    ----------
    after
        How long a branch stays for inspection.
    """

    @sensor(
        name="sweep_branches",
        minimum_interval_seconds=24 * 3600,
        default_status=DefaultSensorStatus.RUNNING,
        description=(
            "Once a day: removes the branches of failed, cancelled and killed runs that are older than "
            f"{_days(after)}, never one whose run still goes on. Their commits stay readable by id until garbage is "
            "collected."
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
    """Return the sensor that frees an embedded lake of data that nothing needs.

    Parameters
    ----------
    grace
        How long such data stay.
    """

    @sensor(
        name="collect_garbage",
        minimum_interval_seconds=7 * 24 * 3600,
        default_status=DefaultSensorStatus.RUNNING,
        description=(
            "Once a week: packs the lake's Git objects, and removes what no branch, tag or reader has needed for "
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
    """Return the sensor that brings sinks to ``main``'s head where no run of their job does it.

    A sink is an asset with the tag ``layer: sink``. Each is asked by the resource that it writes to.

    Parameters
    ----------
    resource_keys
        Keys of the resources that sinks write to: each is a :class:`~lake_assets.runs.sinks.Sink`.

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
            "Runs a sink that is behind `main`: after a rollback, after a run that was published without its sinks, "
            "after a commit that no run made."
        ),
    )
    def evaluate(context: SensorEvaluationContext) -> SensorResult | SkipReason:
        repository = context.repository_def
        assert repository is not None
        lake = cast("LakeResource", context.resources.lake).lake
        head = lake.head(MAIN)
        if context.cursor == head.id:
            return SkipReason(f"{MAIN} is still at {head.id}.")
        publisher = context.instance.get_run_by_id(CommitMetadata.parse(head.metadata).run_id or "")
        if publisher is not None and is_alive(context.instance, publisher):
            return SkipReason(f"Run {publisher.run_id}, which published {head.id}, goes on: it feeds its sinks itself.")
        requests: list[RunRequest] = []
        unknown: list[str] = []
        for asset, resource_key in sinks_of(repository.asset_graph, resource_keys):
            sink: Sink = getattr(context.resources, resource_key)
            try:
                reflected = sink.reflected_commit(asset)
            except Exception as error:  # noqa: BLE001 -- whatever is wrong with one sink, the others do not wait for it
                unknown.append(f"{asset.to_user_string()}: {error}")
                continue
            requests += requests_for(lake, repository.asset_graph, asset, reflected, head)
        return _brought(context, requests, unknown, head.id)

    return evaluate


def _brought(
    context: SensorEvaluationContext, requests: Sequence[RunRequest], unknown: Sequence[str], head: str
) -> SensorResult:
    if len(requests) > RUNS_PER_TICK:
        context.log.warning("%d runs would be wanted; the first %d are requested", len(requests), RUNS_PER_TICK)
    for problem in unknown:
        context.log.warning("%s", problem)
    # Asked again at the next tick, as long as one did not answer.
    cursor = context.cursor if unknown else head
    skip = "; ".join(unknown) or f"Every sink holds what {MAIN} holds at {head}."
    return SensorResult(list(requests[:RUNS_PER_TICK]), skip_reason=None if requests else skip, cursor=cursor)


def _days(duration: timedelta) -> str:
    days = duration / timedelta(days=1)
    return f"{days:g} day{'s' if days != 1 else ''}"
