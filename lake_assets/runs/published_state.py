"""Shows on an asset's page in Dagster whether a run's data are published: one observation per partition and run."""

# No postponed annotations here: Dagster reads them when the decorators run.

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from dagster import (
    AssetCheckSeverity,
    AssetKey,
    AssetObservation,
    AssetRecordsFilter,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunStatusSensorContext,
    SensorDefinition,
    run_status_sensor,
)

from lake_assets.lake.audit import Audit
from lake_assets.lake.contract import MAIN, Commit, Lake
from lake_assets.layout.asset_folders import name_of
from lake_assets.resources.lake import LakeResource
from lake_assets.runs.asset_metadata import COMMIT, PUBLISHED, REPOSITORY, RUN, published_state
from lake_assets.runs.asset_places import AssetPlaces
from lake_assets.runs.branch import find_head, targets
from lake_assets.runs.check_results import outcome
from lake_assets.runs.checked_commits import RunEvents
from lake_assets.runs.own_runs import is_own_run
from lake_assets.runs.recording import record_checks
from lake_assets.text.markdown import as_markdown

if TYPE_CHECKING:
    from lake_assets._dagster import AssetGraph

_LONGEST = 1_000
"""Maximal number of characters of a reason. The run's log has the full text."""

_Partition = tuple[AssetKey, str | None]


def published_observations(
    lake: Lake,
    instance: DagsterInstance,
    run: DagsterRun,
    graph: "AssetGraph",
    *,
    commit: Commit,
    audit: Audit,
    into: str = MAIN,
) -> Iterator[AssetObservation]:
    """Yield an observation for each partition that a run published.

    Partitions that the run wrote with the same rows that the branch held already are included, since the last
    observation may say that another run was not published.

    Parameters
    ----------
    lake
        The lake.
    instance
        The Dagster instance.
    run
        The run that was published.
    graph
        The graph of the code location.
    commit
        The commit that holds the run's data.
    audit
        Its audit: the paths that it changed, and who overrode which checks.
    into
        The branch of that commit: ``main``, or a working branch.
    """
    yes = "yes" if into == MAIN else f"yes, on the working branch {into} only"
    overridden = {(entry.asset, entry.partition): entry.overridden for entry in audit.entries}
    changed: dict[_Partition, str] = {
        (place.asset, place.partition): published_state(into, commit.id)
        + _override(audit, overridden.get((name_of(place.asset), place.partition), ()))
        for place in AssetPlaces(graph).of(audit.paths)
    }
    for partition in _materialized(lake, instance, run):
        changed.setdefault(partition, f"{yes}, as before: commit {commit.id} holds the same rows")
    for partition, state in changed.items():
        yield _observation(lake, run, partition, state, commit.id)


def mark_unpublished(lake: Lake, instance: DagsterInstance, run: DagsterRun, reason: str) -> int:
    """Report an observation for each partition that a run wrote and its target does not hold, and return their number.

    What is said of the run already is not said again.

    Parameters
    ----------
    lake
        The lake.
    instance
        The Dagster instance.
    run
        The run that was not published.
    reason
        Why it was not published.
    """
    made = _materialized(lake, instance, run)
    missing = set(lake.unreached(targets(lake, instance, run), made.values()))
    unpublished = {partition: commit for partition, commit in made.items() if commit in missing}
    for partition, commit in unpublished.items():
        if not _is_marked(instance, partition, run.run_id):
            state = f"not published: {_shortened(reason)}"
            instance.report_runless_asset_event(_observation(lake, run, partition, state, commit))
    return len(unpublished)


def _is_marked(instance: DagsterInstance, partition: _Partition, run_id: str) -> bool:
    """Tell whether a partition's page says already that a run was not published."""
    asset, key = partition
    asked = AssetRecordsFilter(asset, asset_partitions=[key] if key is not None else None)
    for record in instance.fetch_observations(asked, limit=20).records:
        observation = record.event_log_entry.asset_observation
        metadata = observation.metadata if observation is not None else {}
        if PUBLISHED in metadata and RUN in metadata and metadata[RUN].value == run_id:
            return True
    return False


def why_unpublished(instance: DagsterInstance, run: DagsterRun) -> str:
    """Return why a finished run published nothing: the checks that did not pass, or else its first error.

    Parameters
    ----------
    instance
        The Dagster instance.
    run
        The run.
    """
    failed = [
        f"check {evaluation.asset_check_key.to_user_string()} "
        f"{outcome(passed=False, description=evaluation.description, metadata=evaluation.metadata)}"
        for evaluation in (found.result for found in RunEvents(instance, run.run_id).evaluations)
        if not evaluation.passed and evaluation.blocking and evaluation.severity == AssetCheckSeverity.ERROR
    ]
    if failed:
        return "; ".join(dict.fromkeys(failed))
    for record in instance.get_records_for_run(run.run_id, of_type=DagsterEventType.STEP_FAILURE).records:
        event = record.event_log_entry.dagster_event
        if event is not None:
            failure = event.step_failure_data
            given = failure.user_failure_data.description if failure.user_failure_data is not None else None
            error = given or (failure.error.message.strip() if failure.error is not None else "an error")
            return f"step {event.step_key} of run {run.run_id} failed: {error}"
    return f"run {run.run_id} is {run.status.value}"


def _override(audit: Audit, checks: Sequence[str]) -> str:
    """Return who overrode the checks of a partition, and why. Empty if nobody did."""
    if audit.override is None or not checks:
        return ""
    what = f"check{'s' if len(checks) > 1 else ''} {', '.join(checks)}"
    return _shortened(f", {what} overridden by {audit.override.by}: {' '.join(audit.override.reason.split())}")


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"


def _materialized(lake: Lake, instance: DagsterInstance, run: DagsterRun) -> dict[_Partition, str]:
    """Return the partitions that a run wrote to a lake, and the last commit of each."""
    events = RunEvents(instance, run.run_id)
    return {
        (written.asset, written.partition): written.commit
        for written in events.written
        if events.repositories.get(written.commit) == lake.repository
    }


def _observation(lake: Lake, run: DagsterRun, partition: _Partition, state: str, commit: str) -> AssetObservation:
    asset, key = partition
    metadata = {PUBLISHED: state, COMMIT: commit, REPOSITORY: lake.repository, RUN: run.run_id}
    return AssetObservation(asset, partition=key, description=as_markdown(state), metadata=metadata)


def _sensor(name: str, status: DagsterRunStatus) -> SensorDefinition:
    @run_status_sensor(
        name=name,
        run_status=status,
        default_status=DefaultSensorStatus.RUNNING,
        # Dagster's own filter passes over runs of `dagster job execute`; see is_own_run.
        monitor_all_code_locations=True,
        description=(
            f"Shows on the pages of the assets that a {status.value} run wrote that its data are not published, and "
            "why, such as which check did not pass. The results of its checks are recorded with its branch."
        ),
    )
    def mark(context: RunStatusSensorContext, lake: LakeResource) -> None:
        instance, run = context.instance, context.dagster_run
        repository = context.repository_def
        assert repository is not None
        if not is_own_run(repository, instance, run):
            return
        marked = mark_unpublished(lake.lake, instance, run, why_unpublished(instance, run))
        head = find_head(lake.lake, run.run_id)
        if head is not None:
            record_checks(lake.lake, instance, repository.asset_graph, run, head)
        context.log.info("Run %s: %d partition(s) are not published", run.run_id, marked)

    return mark


mark_failed_runs = _sensor("mark_failed_runs", DagsterRunStatus.FAILURE)
mark_canceled_runs = _sensor("mark_canceled_runs", DagsterRunStatus.CANCELED)
