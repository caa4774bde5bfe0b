"""Sensor `lake_commits`: Dagster learns of what reached `main` by no run of its own."""

# No postponed annotations here: Dagster reads them when the decorators run.

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from dagster import (
    AssetMaterialization,
    DefaultSensorStatus,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from lake_assets.lake.contract import MAIN, Commit, Lake
from lake_assets.lake.errors import PathNotFound
from lake_assets.layout.manifest import MANIFEST, read_manifest
from lake_assets.resources.lake import LakeResource
from lake_assets.runs.asset_metadata import DATA_VERSION, place_metadata
from lake_assets.runs.asset_places import AssetPlaces
from lake_assets.runs.commit_metadata import CommitMetadata
from lake_assets.runs.deleting import deletion_events
from lake_assets.runs.event_log import EventLog
from lake_assets.runs.rollback import place_version, rollback_events

if TYPE_CHECKING:
    from lake_assets._dagster import AssetGraph


@sensor(
    minimum_interval_seconds=60,
    default_status=DefaultSensorStatus.RUNNING,
    description=(
        "Reports a commit on `main` that no run made as a materialization of the assets whose prefix it changed, so "
        "that what is downstream becomes stale. Also makes up for a rollback, or a deletion, that was killed "
        "before it told Dagster."
    ),
)
def lake_commits(context: SensorEvaluationContext, lake: LakeResource) -> SensorResult | SkipReason:
    """Look at the commits of `main` since the cursor, the last one seen."""
    repository = context.repository_def
    assert repository is not None
    head = lake.lake.head(MAIN)
    if context.cursor == head.id:
        return SkipReason(f"{MAIN} is still at {head.id}.")
    found = list(commits_since(lake.lake, head, context.cursor)) if context.cursor else None
    if found is None or not found or context.cursor not in found[-1].parents[:1]:
        # The first look, or another lake than before: what is there is not news.
        return SensorResult(skip_reason=f"{MAIN} is at {head.id}: watched from here on.", cursor=head.id)
    log, graph = EventLog(context.instance), repository.asset_graph
    events: list[AssetMaterialization] = []
    for commit in reversed(found):
        made = CommitMetadata.parse(commit.metadata)
        if made.rollback_to is not None:
            events += rollback_events(lake.lake, log, graph, commit)
        elif made.deleted is not None:
            events += deletion_events(lake.lake, log, graph, commit)
        elif made.run_id is None:
            events += external_events(lake.lake, graph, commit)
    for event in events:
        context.log.info("%s: %s", event.description, event.asset_key.to_user_string())
    return SensorResult(
        asset_events=events,
        cursor=head.id,
        skip_reason=None if events else f"{len(found)} commit(s) since the last look, all of runs, or of no asset.",
    )


def commits_since(lake: Lake, head: Commit, seen: str) -> Iterator[Commit]:
    """Yield what ``main`` itself became after ``seen``, newest first: first parents, none of a merged branch."""
    expected = head.id
    for commit in lake.log(head.id):
        if commit.id == seen or expected == seen:
            return
        if commit.id == expected and commit.parents:
            yield commit
            expected = commit.parents[0]


def external_events(lake: Lake, graph: "AssetGraph", commit: Commit) -> Iterator[AssetMaterialization]:
    """Yield a materialization for each partition that a commit changed."""
    paths = lake.diff(commit.parents[0], commit.id).paths
    for place in AssetPlaces(graph).of(paths):
        version, rows = place_version(lake, commit.id, place.path), None
        if f"{place.path}/{MANIFEST}" in paths:
            # Whoever replaced the manifest, too, wrote what it says: a branch of a run merged by hand, or a revert.
            with suppress(PathNotFound, OSError, ValueError, KeyError):
                manifest = read_manifest(lake.path(commit.id, place.path))
                version, rows = manifest.data_version, manifest.rows
        yield AssetMaterialization(
            place.asset,
            description=f"Commit {commit.id[:12]}, of no run: {commit.message.partition(chr(10))[0]}",
            metadata=place_metadata(lake, MAIN, commit.id, place.path, rows),
            partition=place.partition,
            tags={DATA_VERSION: version},
        )
