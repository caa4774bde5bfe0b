"""Reports commits on ``main`` that no Dagster run made, as events for Dagster's log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from dagster import AssetMaterialization

from lake_assets.lake.contract import MAIN, Commit, Lake
from lake_assets.lake.errors import PathNotFound
from lake_assets.layout.manifest import MANIFEST, read_manifest
from lake_assets.runs.asset_metadata import DATA_VERSION, place_metadata
from lake_assets.runs.asset_places import AssetPlaces
from lake_assets.runs.commit_metadata import CommitMetadata
from lake_assets.runs.deleting import deletion_events
from lake_assets.runs.event_log import EventLog
from lake_assets.runs.merging import merge_events
from lake_assets.runs.rollback import place_version, rollback_events

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


def events_of(
    lake: Lake, log: EventLog, graph: AssetGraph, commit: Commit, branch: str = MAIN
) -> Sequence[AssetMaterialization]:
    """Return the events of a published commit that Dagster's log lacks. A run's commit needs none.

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
        return list(rollback_events(lake, log, graph, commit))
    if made.deleted is not None:
        return list(deletion_events(lake, log, graph, commit))
    if made.merged is not None:
        return list(merge_events(lake, log, graph, commit))
    return [] if made.run_id is not None else list(external_events(lake, graph, commit, branch))


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
            description=f"Commit {commit.id[:12]}, made by no run: {commit.message.partition(chr(10))[0]}",
            metadata=place_metadata(lake, branch, commit.id, place.path, rows),
            partition=place.partition,
            tags={DATA_VERSION: version},
        )
