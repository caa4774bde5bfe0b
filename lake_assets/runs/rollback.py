"""Rollback: an asset, or all of the lake, put back as an earlier commit of ``main`` held it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dagster import AssetKey, AssetMaterialization, DagsterInstance, Failure

from lake_assets.lake.contract import MAIN, Commit, Diff, Lake, Write
from lake_assets.lake.errors import PathNotFound
from lake_assets.lake.names import beside, is_within, join
from lake_assets.layout.asset_folders import name_of, prefix_of
from lake_assets.layout.manifest import read_manifest
from lake_assets.layout.partitions import folders
from lake_assets.runs.asset_metadata import (
    CODE_VERSION,
    DATA_VERSION,
    INPUT_VERSIONS,
    ROLLBACK_MERGE,
    ROLLBACK_REASON,
    ROLLBACK_TO,
    place_metadata,
)
from lake_assets.runs.asset_places import AssetPlace, AssetPlaces
from lake_assets.runs.commit_metadata import CommitMetadata, partition_range
from lake_assets.runs.correction import ROLLBACK, Correction, correct_main, refuse_part
from lake_assets.runs.event_log import RUNLESS, EventLog
from lake_assets.runs.provenance import makers, place_of
from lake_assets.runs.publishing import LAYER, PUBLISHED, published_version

if TYPE_CHECKING:
    from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

ABSENT = "absent"
"""Data version of a partition that a rollback took away."""

# What Dagster compares to tell whether a materialization is stale.
_VERSION_TAGS = (DATA_VERSION, CODE_VERSION, INPUT_VERSIONS)


@dataclass(frozen=True, slots=True)
class Rollback:
    """What a rollback is to do, as ``main`` was when it was planned.

    Parameters
    ----------
    head
        ``main`` then: what is published after it conflicts, or stays.
    target
        What it goes back to.
    prefix
        The folder of an asset, or of one of its partitions; empty for all.
    diff
        From ``head`` to ``target``.
    """

    head: Commit
    target: Commit
    prefix: str
    diff: Diff


def plan_rollback(lake: Lake, to: str, prefix: str = "") -> Rollback:
    """Compare ``main`` with the commit to go back to.

    Parameters
    ----------
    lake
        The lake.
    to
        A commit of ``main``, or a tag of one.
    prefix
        The folder of an asset, or of one of its partitions (``stocks_parquet/day=2017-07-28/hour=08``); empty for all
        that ``main`` holds. What lies beside an asset goes back with the asset as a whole, not with a partition.

    Raises
    ------
    Failure
        ``main`` never held that commit, or neither holds anything at the prefix, or the prefix is a part of what one
        write made.
    """
    head, target = lake.head(MAIN), lake.head(to)
    if not any(commit.id == target.id for commit in lake.first_parents(head.id)):
        raise Failure(
            f"{to!r} is commit {target.id}, which was never published: {MAIN} goes back to what it was itself "
            f"(`lake-assets log {MAIN} --first-parent`), not to a commit of a run's branch."
        )
    if prefix and all(lake.fingerprint(ref, prefix) is None for ref in (head.id, target.id)):
        raise Failure(f"Neither {MAIN} nor commit {target.id} holds anything at {prefix!r}.")
    for commit in (head.id, target.id):
        refuse_part(lake, commit, prefix, "roll that back")
    return Rollback(head, target, prefix, _diff(lake, head, target, prefix))


def _diff(lake: Lake, head: Commit, target: Commit, prefix: str) -> Diff:
    """Compare what two commits hold at a prefix and beside it."""
    if not prefix:
        return lake.diff(head.id, target.id)
    sides = [lake.diff(head.id, target.id, place) for place in (prefix, beside(prefix))]
    joined = [[path for side in sides for path in getattr(side, change)] for change in ("added", "removed", "changed")]
    return Diff(*(tuple(sorted(paths)) for paths in joined))


def roll_back(lake: Lake, instance: DagsterInstance, graph: AssetGraph, plan: Rollback, reason: str) -> Commit:
    """Restore the planned files on a branch of their own, merge it into ``main``, and return the merge.

    :func:`rollback_events` is what Dagster is to be told afterwards.

    Raises
    ------
    Failure
        Something else was published to the same places since it was planned; ``main`` is as it was.
    """
    what = plan.prefix or "all"
    metadata = CommitMetadata(rollback_to=plan.target.id, reason=reason)
    correction = Correction(
        kind=ROLLBACK,
        head=plan.head,
        message=f"Roll back {what} to {plan.target.id[:12]}\n\n{reason}",
        metadata=metadata,
        refused=f"{what} is not rolled back",
        back_to=plan.target,
    )
    return correct_main(lake, instance, graph, correction, lambda branch: _restore(lake, graph, plan, metadata, branch))


def _restore(lake: Lake, graph: AssetGraph, plan: Rollback, metadata: CommitMetadata, branch: str) -> None:
    """Write the planned files on a branch, an asset a commit."""
    places = AssetPlaces(graph)
    changed = places.of(plan.diff.paths)
    for prefix, touched in _by_prefix(plan, places).items():
        of_asset = [place for place in changed if prefix_of(place.asset) == prefix]
        about = _of_partitions(lake, plan.target, of_asset, metadata).to_metadata()
        message = f"Roll back {prefix} to {plan.target.id[:12]}\n\n{metadata.reason}"
        # A file beside the folders of partitions: the prefix itself is what is replaced.
        below = None if prefix in touched else [folder[len(prefix) + 1 :] for folder in touched]
        apart = [beside(prefix)] if any(is_within(path, beside(prefix)) for path in plan.diff.paths) else []
        with lake.write(branch, prefix, "overwrite", message, about, below, apart) as write:
            _restore_beside(lake, plan, beside(prefix), write)
            for folder in touched:
                if place_of(folder, touched) is None:
                    _copy(lake, plan.target, folder, write, folder[len(prefix) + 1 :])


def _by_prefix(plan: Rollback, places: AssetPlaces) -> dict[str, list[str]]:
    """Return the folders to be replaced by the prefix they lie at: an asset's, else the outermost folder."""
    found: dict[str, set[str]] = {}
    for path in plan.diff.paths:
        prefix = places.prefix(path) or plan.prefix or path.partition("/")[0]
        folders = found.setdefault(prefix, set())
        if not is_within(path, beside(prefix)):
            folders.add(path.rpartition("/")[0])
    return {prefix: sorted(touched) for prefix, touched in sorted(found.items())}


def _of_partitions(
    lake: Lake, target: Commit, places: Sequence[AssetPlace], metadata: CommitMetadata
) -> CommitMetadata:
    """Return the metadata with what they say of an asset's partitions, as a run's commit does."""
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


def _copy(lake: Lake, target: Commit, folder: str, write: Write, below: str) -> None:
    """Copy a folder as the target holds it; where it holds none the write leaves none, too."""
    from pyarrow.fs import copy_files

    try:
        snapshot = lake.path(target.id, folder)
    except PathNotFound:
        return
    place = join(write.root, below)
    write.filesystem.create_dir(place, recursive=True)
    copy_files(snapshot.root, place, source_filesystem=snapshot.filesystem, destination_filesystem=write.filesystem)


def _restore_beside(lake: Lake, plan: Rollback, folder: str, write: Write) -> None:
    """Put the files in the folder beside a prefix as the target holds them."""
    from pyarrow.fs import copy_files

    write.removed |= {path for path in plan.diff.removed if is_within(path, folder)}
    for path in (*plan.diff.added, *plan.diff.changed):
        if is_within(path, folder):
            held, place = lake.path(plan.target.id, path), write.place(path)
            write.filesystem.create_dir(place.rpartition("/")[0], recursive=True)
            copy_files(held.root, place, source_filesystem=held.filesystem, destination_filesystem=write.filesystem)


def rollback_events(lake: Lake, log: EventLog, graph: AssetGraph, merge: Commit) -> list[AssetMaterialization]:
    """Return what Dagster is to be told of a rollback: of each partition, that it is what it was, versions and all.

    Empty where it was told already, so whoever was killed in between is made up for by whoever asks next.

    Parameters
    ----------
    merge
        The commit on ``main``.
    """
    target = CommitMetadata.parse(merge.metadata).rollback_to
    assert target is not None
    changed = AssetPlaces(graph).of(lake.diff(merge.parents[0], merge.id).paths)
    paths = [place.path for place in changed]
    holders = makers(lake, merge.id, [path for path in paths if lake.fingerprint(merge.id, path) is not None])
    origins = makers(lake, target, holders)
    told: list[AssetMaterialization] = []
    for place in changed:
        holder = holders.get(place.path, merge)
        if any(event.commit == holder.id for event in log.all_of(RUNLESS, place.path)):
            continue
        tags = {DATA_VERSION: ABSENT}
        if place.path in origins:
            tags = _version_tags(lake, log, origins[place.path], place.path, target)
        told.append(_event(lake, merge, place.asset, place.partition, holder.id, place.path, tags))
    publications = changed_publications(lake, graph, merge, told)
    return told + [
        _event(lake, merge, key, partition, merge.id, None, {DATA_VERSION: version})
        for key, partition, version in publications
    ]


def _version_tags(lake: Lake, log: EventLog, maker: Commit, place: str, at: str) -> dict[str, str]:
    """Return the versions that Dagster knew of what a commit made; a rollback made nothing of its own."""
    made = CommitMetadata.parse(maker.metadata)
    while made.rollback_to is not None:
        at = made.rollback_to
        maker = makers(lake, at, [place], place)[place]
        made = CommitMetadata.parse(maker.metadata)
    event = log.of(maker, place)
    if event is not None and event.data_version is not None:
        return {name: value for name, value in event.tags.items() if name.startswith(_VERSION_TAGS)}
    return {DATA_VERSION: made.data_version or place_version(lake, at, place)}


def place_version(lake: Lake, commit: str, place: str) -> str:
    """Return the data version of what no run of ours wrote: of its exact files."""
    return (lake.fingerprint(commit, place) or ABSENT)[:32]


def changed_publications(
    lake: Lake, graph: AssetGraph, merge: Commit, told: Iterable[AssetMaterialization]
) -> Iterator[tuple[AssetKey, str | None, str]]:
    """Yield publications of what Dagster is told of, with their new versions.

    What stands downstream of them has other data to read now.
    """
    partitions: dict[AssetKey, set[str | None]] = {}
    for event in told:
        partitions.setdefault(event.asset_key, set()).add(event.partition)
    for key in graph.toposorted_asset_keys:
        node = graph.get(key)
        if node.tags.get(LAYER) != PUBLISHED:
            continue
        of_parents = {partition for parent in node.parent_keys for partition in partitions.get(parent, ())}
        for partition in sorted(of_parents, key=str):
            below = ""
            if node.partitions_def is not None and partition is not None:
                below = folders(node.partitions_def, [partition])[partition]
            elif node.partitions_def is not None or partition is not None:
                continue
            prefixes = [join(prefix_of(parent), below) for parent in node.parent_keys]
            yield key, partition, published_version(lake, merge.id, prefixes)


def _event(
    lake: Lake,
    merge: Commit,
    asset: AssetKey,
    partition: str | None,
    commit: str,
    place: str | None,
    tags: Mapping[str, str],
) -> AssetMaterialization:
    made = CommitMetadata.parse(merge.metadata)
    to, reason = made.rollback_to or "", made.reason or ""
    rows = None if place is None else _rows(lake, merge.id, place) or 0
    return AssetMaterialization(
        asset,
        description=f"Rolled back to {to}: {reason}",
        metadata={
            **place_metadata(lake, MAIN, commit, place, rows),
            ROLLBACK_TO: to,
            ROLLBACK_REASON: reason,
            ROLLBACK_MERGE: merge.id,
        },
        partition=partition,
        tags=tags,
    )
