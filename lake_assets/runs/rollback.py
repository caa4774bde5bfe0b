"""Rolls back an asset, a partition, or the whole lake to an earlier commit of ``main``, or of a working branch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dagster import AssetKey, AssetMaterialization, DagsterInstance, Failure

from lake_assets.lake.contract import MAIN, Commit, Diff, Lake
from lake_assets.lake.errors import PathNotFound
from lake_assets.lake.names import ancestors, beside, is_path, join
from lake_assets.layout.asset_folders import name_of, prefix_of
from lake_assets.layout.manifest import read_manifest
from lake_assets.layout.partitions import folders
from lake_assets.resources.working_branch import in_metadata
from lake_assets.runs.asset_metadata import (
    CODE_VERSION,
    DATA_VERSION,
    INPUT_VERSIONS,
    ROLLBACK_BY,
    ROLLBACK_MERGE,
    ROLLBACK_REASON,
    ROLLBACK_TO,
    place_metadata,
    published_metadata,
)
from lake_assets.runs.asset_places import AssetPlace, AssetPlaces
from lake_assets.runs.branch import refuse_target
from lake_assets.runs.commit_metadata import CommitMetadata, partition_range
from lake_assets.runs.correction import ROLLBACK, Correction, correct, refuse_part
from lake_assets.runs.event_log import RUNLESS, EventLog
from lake_assets.runs.provenance import makers
from lake_assets.runs.publishing import LAYER, PUBLISHED, published_version
from lake_assets.text.markdown import as_markdown

if TYPE_CHECKING:
    from lake_assets._dagster import AssetGraph

ABSENT = "absent"
"""Data version of a partition that a rollback or deletion removed."""

# The tags by which Dagster decides whether a materialization is stale.
_VERSION_TAGS = (DATA_VERSION, CODE_VERSION, INPUT_VERSIONS)


@dataclass(frozen=True, slots=True)
class Rollback:
    """A planned rollback.

    Parameters
    ----------
    head
        Head of the branch when the rollback was planned. Later changes of the same places conflict with it. Other later
        changes stay.
    target
        The commit to go back to.
    prefix
        The folder of an asset, or of one of its partitions; empty for the whole lake.
    diff
        The changes from ``head`` to ``target``.
    branch
        The branch that is rolled back.
    """

    head: Commit
    target: Commit
    prefix: str
    diff: Diff
    branch: str = MAIN


def plan_rollback(lake: Lake, to: str, prefix: str = "", branch: str = MAIN) -> Rollback:
    """Compare a branch with the commit to go back to.

    Parameters
    ----------
    lake
        The lake.
    to
        A commit of the branch, or a tag of one.
    prefix
        The folder of an asset, or of one of its partitions (``stocks_parquet/day=2017-07-28/hour=08``); empty for the
        whole lake. The files beside an asset are rolled back with the whole asset, but not with a partition.
    branch
        The branch: ``main``, or a working branch.

    Raises
    ------
    Failure
        The branch was never at that commit, or neither commit holds anything at the prefix, or the prefix is only a
        part of what one write made.
    """
    refuse_target(lake, branch, "Nothing is rolled back")
    head, target = lake.head(branch), lake.head(to)
    if not any(commit.id == target.id for commit in lake.first_parents(head.id)):
        raise Failure(
            f"{to!r} is commit {target.id}, which was never published: {branch} can only go back to one of its own "
            f"commits (`lake-assets log {branch} --first-parent`), not to a commit of another branch."
        )
    if prefix and all(lake.fingerprint(ref, prefix) is None for ref in (head.id, target.id)):
        raise Failure(f"Neither {branch} nor commit {target.id} holds anything at {prefix!r}.")
    for commit in (head.id, target.id):
        refuse_part(lake, commit, prefix, "roll that back")
    return Rollback(head, target, prefix, _diff(lake, head, target, prefix), branch)


def _diff(lake: Lake, head: Commit, target: Commit, prefix: str) -> Diff:
    """Compare two commits at a prefix, and in the folder beside it."""
    if not prefix:
        return lake.diff(head.id, target.id)
    sides = [lake.diff(head.id, target.id, place) for place in (prefix, beside(prefix))]
    joined = [[path for side in sides for path in getattr(side, change)] for change in ("added", "removed", "changed")]
    return Diff(*(tuple(sorted(paths)) for paths in joined))


def roll_back(
    lake: Lake, instance: DagsterInstance, graph: AssetGraph, plan: Rollback, reason: str, *, by: str | None = None
) -> Commit:
    """Restore the planned files on a branch of their own, merge it, and return the merge.

    Afterwards, report :func:`rollback_events` to Dagster.

    Parameters
    ----------
    lake
        The lake.
    instance
        The Dagster instance.
    graph
        The graph of the code location.
    plan
        The rollback, from :func:`plan_rollback`.
    reason
        The reason.
    by
        The person who asks for it.

    Raises
    ------
    Failure
        Something else was published to the same places since the rollback was planned. Nothing is changed.
    """
    what = plan.prefix or "all"
    metadata = CommitMetadata(rollback_to=plan.target.id, by=by, reason=reason, branch=in_metadata(plan.branch))
    correction = Correction(
        kind=ROLLBACK,
        head=plan.head,
        message=f"Roll back {what} to {plan.target.id[:12]}\n\n{reason}",
        metadata=metadata,
        refused=f"{what} is not rolled back",
        back_to=plan.target,
        into=plan.branch,
    )
    return correct(lake, instance, graph, correction, lambda branch: _restore(lake, graph, plan, metadata, branch))


def _restore(lake: Lake, graph: AssetGraph, plan: Rollback, metadata: CommitMetadata, branch: str) -> None:
    """Restore the planned files on a branch, with one commit per asset and one for all that belong to none."""
    places = AssetPlaces(graph)
    changed = places.of(plan.diff.paths)
    for prefix, paths in _by_prefix(plan, places).items():
        asset_places = [place for place in changed if prefix and prefix_of(place.asset) == prefix]
        commit_metadata = _with_partitions(lake, plan.target, asset_places, metadata).to_metadata()
        message = f"Roll back {prefix or 'other files'} to {plan.target.id[:12]}\n\n{metadata.reason}"
        replaces = _folders(paths) if prefix else []
        lake.restore(branch, plan.target.id, paths, replaces=replaces, message=message, metadata=commit_metadata)


def _by_prefix(plan: Rollback, places: AssetPlaces) -> dict[str, list[str]]:
    """Return the paths to restore, grouped by the prefix of their asset. Empty for files that belong to none."""
    found: dict[str, list[str]] = {}
    for path in plan.diff.paths:
        found.setdefault(places.prefix(path) or plan.prefix, []).append(path)
    return dict(sorted(found.items()))


def _folders(paths: Iterable[str]) -> list[str]:
    """Return the folders of files, without those below others, and without names that no write could make."""
    found = {path.rpartition("/")[0] for path in paths}
    named = {folder for folder in found if folder and is_path(folder)}
    return sorted(folder for folder in named if not named & set(ancestors(folder)))


def _with_partitions(
    lake: Lake, target: Commit, places: Sequence[AssetPlace], metadata: CommitMetadata
) -> CommitMetadata:
    """Return the metadata with the asset, its partitions and its rows, as in a run's commit."""
    if not places:
        return metadata
    rows = {place.partition or "": _rows(lake, target.id, place.path) or 0 for place in places}
    return replace(
        metadata,
        asset=name_of(places[0].asset),
        partition=partition_range([*rows]) or None,
        rows=sum(rows.values()),
        partition_rows=rows if len(rows) > 1 else {},
    )


def _rows(lake: Lake, commit: str, place: str) -> int | None:
    try:
        return read_manifest(lake.path(commit, place)).rows
    except (PathNotFound, OSError, ValueError, KeyError):
        return None


def rollback_events(lake: Lake, log: EventLog, graph: AssetGraph, merge: Commit) -> list[AssetMaterialization]:
    """Return the events that report a rollback to Dagster: each partition has its earlier versions again.

    Partitions that were reported already are left out. So if a process was killed before it reported all, the next
    caller reports the rest.

    Parameters
    ----------
    lake
        The lake.
    log
        Dagster's event log.
    graph
        The graph of the code location.
    merge
        The merge.
    """
    target = CommitMetadata.parse(merge.metadata).rollback_to
    assert target is not None
    changed = AssetPlaces(graph).of(lake.diff(merge.parents[0], merge.id).paths)
    paths = [place.path for place in changed]
    holders = makers(lake, merge.id, [path for path in paths if lake.fingerprint(merge.id, path) is not None])
    origins = makers(lake, target, holders)
    events: list[AssetMaterialization] = []
    for place in changed:
        holder = holders.get(place.path, merge)
        if any(event.commit == holder.id for event in log.events_of_run(RUNLESS, place.path)):
            continue
        tags = {DATA_VERSION: ABSENT}
        if place.path in origins:
            tags = _version_tags(lake, log, origins[place.path], place.path, target)
        restored = _Restored(
            asset=place.asset, partition=place.partition, commit=holder.id, place=place.path, tags=tags
        )
        events.append(_event(lake, merge, restored))
    publications = changed_publications(lake, graph, merge, events)
    return events + [
        _event(lake, merge, _Restored(asset=key, partition=partition, commit=merge.id, tags={DATA_VERSION: version}))
        for key, partition, version in publications
    ]


def _version_tags(lake: Lake, log: EventLog, maker: Commit, place: str, at: str) -> dict[str, str]:
    """Return the versions that Dagster recorded for what a commit made. For a rollback, follow what it restored."""
    made = CommitMetadata.parse(maker.metadata)
    while made.rollback_to is not None:
        at = made.rollback_to
        maker = makers(lake, at, [place], place)[place]
        made = CommitMetadata.parse(maker.metadata)
    event = log.event_of(maker, place)
    if event is not None and event.data_version is not None:
        return {name: value for name, value in event.tags.items() if name.startswith(_VERSION_TAGS)}
    return {DATA_VERSION: made.data_version or place_version(lake, at, place)}


def place_version(lake: Lake, commit: str, place: str) -> str:
    """Return the data version of files that no run wrote: a hash of the exact files.

    Parameters
    ----------
    lake
        The lake.
    commit
        The commit that holds the files.
    place
        The folder.
    """
    return (lake.fingerprint(commit, place) or ABSENT)[:32]


def changed_publications(
    lake: Lake, graph: AssetGraph, merge: Commit, events: Iterable[AssetMaterialization]
) -> Iterator[tuple[AssetKey, str | None, str]]:
    """Yield the publishing assets of changed assets: key, partition and new data version.

    The assets downstream of them become stale.

    Parameters
    ----------
    lake
        The lake.
    graph
        The graph of the code location.
    merge
        The commit that changed the assets.
    events
        The materializations of the changed assets.
    """
    partitions: dict[AssetKey, set[str | None]] = {}
    for event in events:
        partitions.setdefault(event.asset_key, set()).add(event.partition)
    for key in graph.toposorted_asset_keys:
        node = graph.get(key)
        if node.tags.get(LAYER) != PUBLISHED:
            continue
        changed = {partition for parent in node.parent_keys for partition in partitions.get(parent, ())}
        for partition in sorted(changed, key=str):
            below = ""
            if node.partitions_def is not None and partition is not None:
                below = folders(node.partitions_def, [partition])[partition]
            elif node.partitions_def is not None or partition is not None:
                continue
            prefixes = [join(prefix_of(parent), below) for parent in node.parent_keys]
            yield key, partition, published_version(lake, merge.id, prefixes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Restored:
    """What a rollback changed at one partition: the commit that holds it now, and the versions for Dagster.

    A publishing asset has no ``place``.
    """

    asset: AssetKey
    partition: str | None
    commit: str
    place: str | None = None
    tags: Mapping[str, str]


def _event(lake: Lake, merge: Commit, restored: _Restored) -> AssetMaterialization:
    made = CommitMetadata.parse(merge.metadata)
    to, reason = made.rollback_to or "", made.reason or ""
    rows = None if restored.place is None else _rows(lake, merge.id, restored.place) or 0
    return AssetMaterialization(
        restored.asset,
        description=as_markdown(f"Rolled back to {to}: {reason}"),
        metadata={
            **place_metadata(lake, made.branch or MAIN, restored.commit, restored.place, rows),
            **published_metadata(made.branch or MAIN, merge.id),
            ROLLBACK_TO: to,
            ROLLBACK_REASON: reason,
            **({ROLLBACK_BY: made.by} if made.by else {}),
            ROLLBACK_MERGE: merge.id,
        },
        partition=restored.partition,
        tags=restored.tags,
    )
