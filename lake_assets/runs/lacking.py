"""What Dagster says was materialized or published, and the lake lacks, such as after a restore from a backup."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dagster import DagsterEventType, DagsterInstance, DagsterRunStatus

from lake_assets.lake.contract import Lake
from lake_assets.resources.working_branch import target_of
from lake_assets.runs.asset_metadata import BRANCH, COMMIT, PREFIX, PUBLISHED, REPOSITORY, RUN
from lake_assets.runs.branch import find_head
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
    """Yield what runs that succeeded or published have materialized, and neither their target nor their branch holds.

    Also yields what was rolled back, deleted or merged since, if the target does not reach that: what was taken back
    is there again. What was published once, and has been published again since, is not lacking any more.

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
    events = [event for event in events if event.repository in names and event.target in protected]
    newest: dict[tuple[str, str], _Event] = {}
    for event in sorted(events, key=lambda event: event.at):
        newest[event.what, event.target] = event
    yield from _forgotten(events, published)
    by_run: dict[str, list[_Event]] = {}
    for event in events:
        if event.run_id and not event.is_publication and event.commit not in published:
            by_run.setdefault(event.run_id, []).append(event)
    for run_id, missing in by_run.items():
        head = find_head(lake, run_id)
        lost = {event.commit for event in missing}
        if head is not None:
            lost = set(lake.unreached([head.id], lost))
        again = {event for event in missing if newest[event.what, event.target].commit in published}
        if again and _was_published(instance, run_id, events):
            missing = [event for event in missing if event not in again]
        for event in missing:
            if event.commit in lost:
                yield Problem(
                    event.what,
                    f"run {run_id} materialized it as commit {event.commit}, which {event.target} does not reach: the "
                    "lake was restored from a backup, or the run's branch was deleted or reset; materialize it again",
                )


def _forgotten(events: Sequence[_Event], published: Collection[str]) -> Iterator[Problem]:
    """Yield what was last changed by no run, such as a rollback, in a commit that the target does not reach.

    What a run has materialized since and not published has changed nothing.
    """
    changed = [event for event in events if event.run_id == RUNLESS or event.commit in published]
    last = {(event.what, event.target): event for event in sorted(changed, key=lambda event: event.at)}
    for event in last.values():
        if event.commit not in published and not event.is_publication:
            yield Problem(
                event.what,
                f"it was rolled back, deleted or merged by commit {event.commit}, which {event.target} does not reach: "
                "the lake was restored from a backup; roll it back, delete or merge it again",
            )


def _was_published(instance: DagsterInstance, run_id: str, events: Sequence[_Event]) -> bool:
    """Return whether Dagster knows that a run was published, by its asset, or by a sensor or a person."""
    if any(event.run_id == run_id and event.is_publication for event in events):
        return True
    found = instance.get_records_for_run(RUNLESS, of_type=DagsterEventType.ASSET_OBSERVATION).records
    shown = (record.event_log_entry.asset_observation for record in found)
    return any(
        _text(seen.metadata, RUN) == run_id and _text(seen.metadata, PUBLISHED).startswith("yes")
        for seen in shown
        if seen is not None
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
