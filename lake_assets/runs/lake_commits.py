"""Reports commits on ``main`` that no Dagster run made, as events for Dagster's log."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from dagster import AssetMaterialization, DagsterInstance

from lake_assets.lake.contract import MAIN, Commit, Lake
from lake_assets.lake.errors import PathNotFound
from lake_assets.layout.manifest import MANIFEST, read_manifest
from lake_assets.runs.asset_metadata import DATA_VERSION, PREFIX, place_metadata, published_metadata
from lake_assets.runs.asset_places import AssetPlaces
from lake_assets.runs.commit_metadata import CommitMetadata
from lake_assets.runs.deleting import deletion_events
from lake_assets.runs.event_log import RUNLESS, EventLog
from lake_assets.runs.merging import merge_events
from lake_assets.runs.rollback import place_version, rollback_events
from lake_assets.text.markdown import as_markdown

if TYPE_CHECKING:
    from lake_assets._dagster import AssetGraph


def commits_since(lake: Lake, head: Commit, seen: str) -> Iterator[Commit]:
    """Yield the commits of a branch after ``seen``, newest first. Only first parents count, no commits of branches.

    Parameters
    ----------
    lake
        The lake.
    head
        Head of the branch: ``main``, or a working branch.
    seen
        Id of the last commit that was reported.
    """
    expected = head.id
    for commit in lake.log(head.id):
        if commit.id == seen or expected == seen:
            return
        if commit.id == expected and commit.parents:
            yield commit
            expected = commit.parents[0]


def unreported_commits(
    lake: Lake, instance: DagsterInstance, graph: AssetGraph, head: Commit, branch: str = MAIN
) -> Sequence[Commit]:
    """Return the commits of a branch that may have to be reported when it is not known which was seen last.

    They go back to the newest commit of no run that Dagster's event log has, or else to the first publication of a run
    that Dagster knows. What is older is from before this Dagster. The newest comes first.

    Parameters
    ----------
    lake
        The lake.
    instance
        The Dagster instance.
    graph
        The graph of the code location.
    head
        Head of the branch.
    branch
        The branch: ``main``, or a working branch.
    """
    log, runs = EventLog(instance), set(instance.get_run_ids())
    found: list[Commit] = []
    known = 0
    for commit in lake.first_parents(head.id):
        made = CommitMetadata.parse(commit.metadata)
        if made.run_id in runs:
            known = len(found)
        elif commit.parents and _is_foreign(made):
            events = list(external_events(lake, graph, commit, branch))
            if events and all(_is_reported(log, event, commit) for event in events):
                return found
        found.append(commit)
    return found[:known]


def events_of(
    lake: Lake, log: EventLog, graph: AssetGraph, commit: Commit, branch: str = MAIN
) -> Sequence[AssetMaterialization]:
    """Return the events of a published commit that Dagster's log lacks. A run's commit needs none.

    A place that a run has written since is left out, since Dagster has a newer event of it.

    Parameters
    ----------
    lake
        The lake.
    log
        Dagster's event log.
    graph
        The graph of the code location.
    commit
        The commit.
    branch
        The branch that it was published to: ``main``, or a working branch.
    """
    made = CommitMetadata.parse(commit.metadata)
    if made.rollback_to is not None:
        events = rollback_events(lake, log, graph, commit)
    elif made.deleted is not None:
        events = deletion_events(lake, log, graph, commit)
    elif made.merged is not None:
        events = merge_events(lake, log, graph, commit)
    elif made.run_id is not None:
        return []
    else:
        found = external_events(lake, graph, commit, branch)
        events = [event for event in found if not _is_reported(log, event, commit)]
    overtaken = _overtaken(lake, graph, commit, branch) if events else ()
    return [event for event in events if PREFIX not in event.metadata or _place_of(event) not in overtaken]


def _is_foreign(made: CommitMetadata) -> bool:
    """Return whether a commit was made by none of our commands and no run, so that only the sensor reports it."""
    return made.run_id is made.rollback_to is made.deleted is made.merged is None


def _is_reported(log: EventLog, event: AssetMaterialization, commit: Commit) -> bool:
    return any(known.commit == commit.id for known in log.events_of_run(RUNLESS, _place_of(event)))


def _first_line(commit: Commit) -> str:
    return commit.message.partition("\n")[0]


def _place_of(event: AssetMaterialization) -> str:
    return str(event.metadata[PREFIX].value)


def _overtaken(lake: Lake, graph: AssetGraph, commit: Commit, branch: str) -> Container[str]:
    """Return the places that a run has written since a commit."""
    changed = [place.path for place in AssetPlaces(graph).of(lake.diff(commit.id, branch).paths)]
    newest = {place: next(lake.first_parents(branch, place), commit) for place in changed}
    return {place for place, found in newest.items() if CommitMetadata.parse(found.metadata).run_id is not None}


def external_events(
    lake: Lake, graph: AssetGraph, commit: Commit, branch: str = MAIN
) -> Iterator[AssetMaterialization]:
    """Yield a materialization for each partition that a commit changed.

    Parameters
    ----------
    lake
        The lake.
    graph
        The graph of the code location.
    commit
        A commit that no run made.
    branch
        The branch that it was published to.
    """
    paths = lake.diff(commit.parents[0], commit.id).paths
    for place in AssetPlaces(graph).of(paths):
        version, rows = place_version(lake, commit.id, place.path), None
        if f"{place.path}/{MANIFEST}" in paths:
            # The manifest was replaced too, so it describes the new files: a run's branch was merged by hand, or a
            # commit was reverted.
            with suppress(PathNotFound, OSError, ValueError, KeyError):
                manifest = read_manifest(lake.path(commit.id, place.path))
                version, rows = manifest.data_version, manifest.rows
        yield AssetMaterialization(
            place.asset,
            description=f"Commit {commit.id[:12]}, made by no run: {as_markdown(_first_line(commit))}",
            metadata=place_metadata(lake, branch, commit.id, place.path, rows) | published_metadata(branch, commit.id),
            partition=place.partition,
            tags={DATA_VERSION: version},
        )
