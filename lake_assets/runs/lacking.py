"""What Dagster says was materialized or published, and the lake lacks, such as after a restore from a backup."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from dagster import DagsterEventType, DagsterInstance, DagsterRunStatus

from lake_assets.lake.contract import Lake
from lake_assets.resources.working_branch import target_of
from lake_assets.runs.asset_metadata import BRANCH, COMMIT, PREFIX, REPOSITORY
from lake_assets.runs.event_log import RUNLESS


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that differs from what was recorded.

    Parameters
    ----------
    path
        Path of the file or place.
    reason
        What is wrong with it.
    """

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Event:
    """One materialization of a place in a lake. Without a prefix it is a publication."""

    what: str
    target: str
    at: float
    run_id: str
    commit: str
    repository: str
    is_publication: bool


def lacking(lake: Lake, instance: DagsterInstance, protected: Collection[str]) -> Iterator[Problem]:
    """Yield the newest materialization of each partition whose commit the branch that it was for does not reach.

    Runs that succeeded or published count, and what was reported without a run. What another branch holds is not
    lacking: it waits to be published.

    Parameters
    ----------
    lake
        The lake.
    instance
        The Dagster instance.
    protected
        ``main`` and the working branches. What was published on a working branch that was deleted is not asked for.
    """
    published = {commit.id for branch in protected for commit in lake.log(branch)}
    events = list(_events(instance))
    # A lake that was copied or restored to another folder has another name, and shares commits with the first one.
    names = {lake.repository} | {event.repository for event in events if event.commit in published}
    newest: dict[tuple[str, str], _Event] = {}
    for event in events:
        if event.repository in names and event.target in protected and not event.is_publication:
            before = newest.get((event.what, event.target))
            if before is None or before.at < event.at:
                newest[event.what, event.target] = event
    missing = {event.commit for event in newest.values() if event.run_id} - published
    lost = set(lake.unreached([lake.head(name).id for name in lake.branches()], missing) if missing else ())
    for (what, target), event in sorted(newest.items()):
        if event.commit in lost:
            yield Problem(
                what,
                f"run {event.run_id} materialized it as commit {event.commit}, which {target} does not reach: the lake "
                "was restored from a backup, or the run's branch was deleted or reset; materialize it again",
            )


def _events(instance: DagsterInstance) -> Iterator[_Event]:
    """Yield the events of the runs that succeeded or published, and of no run."""
    yield from _events_of(instance, RUNLESS, None)
    for run in instance.get_runs():
        found = list(_events_of(instance, run.run_id, target_of(instance, run)))
        if run.status == DagsterRunStatus.SUCCESS or any(event.is_publication for event in found):
            yield from found


def _events_of(instance: DagsterInstance, run_id: str, target: str | None) -> Iterator[_Event]:
    for record in instance.get_records_for_run(run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION).records:
        made = record.event_log_entry.asset_materialization
        if made is None:
            continue
        commit, repository, branch = (_text(made.metadata, name) for name in (COMMIT, REPOSITORY, BRANCH))
        goes_to = target or branch
        is_publication = PREFIX not in made.metadata and branch == goes_to
        if commit and repository and (PREFIX in made.metadata or is_publication):
            asset = made.asset_key.to_user_string()
            what = f"{asset} {made.partition}" if made.partition else asset
            yield _Event(what, goes_to, record.event_log_entry.timestamp, run_id, commit, repository, is_publication)


def _text(metadata: Mapping[str, object], name: str) -> str:
    value = getattr(metadata.get(name), "value", None)
    return str(value) if value else ""
