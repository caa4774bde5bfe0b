"""Merges a working branch into ``main``, ``main`` into a working branch, or one working branch into another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dagster import AssetKey, AssetMaterialization, DagsterInstance, Failure

from lake_assets.lake.audit import Override
from lake_assets.lake.contract import MAIN, Commit, Lake
from lake_assets.lake.errors import MergeConflict, PathNotFound, Unaudited
from lake_assets.layout.manifest import read_manifest
from lake_assets.runs.asset_metadata import DATA_VERSION, place_metadata, published_metadata
from lake_assets.runs.asset_places import AssetPlaces
from lake_assets.runs.audit import audit_publication
from lake_assets.runs.branch import refuse_target
from lake_assets.runs.commit_metadata import CommitMetadata
from lake_assets.runs.event_log import RUNLESS, EventLog
from lake_assets.runs.publishing import conflicting, refuse_uncommitted
from lake_assets.runs.rollback import ABSENT, changed_publications, place_version
from lake_assets.text.markdown import as_markdown

if TYPE_CHECKING:
    from lake_assets._dagster import AssetGraph


@dataclass(frozen=True, slots=True)
class BranchMerge:
    """The result of merging a protected branch into another one.

    Parameters
    ----------
    commit
        The merge; the head of the branch merged into if it had everything already.
    paths
        The paths that changed on the branch merged into.
    merged
        Whether this call made the merge.
    """

    commit: Commit
    paths: Sequence[str]
    merged: bool


def merge_branch(
    lake: Lake,
    instance: DagsterInstance,
    graph: AssetGraph,
    name: str,
    into: str = MAIN,
    *,
    override: Override | None = None,
) -> BranchMerge:
    """Merge a protected branch into another one. What was audited on one counts on the other, by its fingerprint.

    Afterwards, report :func:`merge_events` to Dagster.

    Parameters
    ----------
    lake
        The lake.
    instance
        The Dagster instance whose event log holds the check results.
    graph
        The graph of the code location, with its blocking checks.
    name
        The branch that is merged. It stays as it is.
    into
        The branch that is merged into.
    override
        Checks that a person overrides.

    Raises
    ------
    PublicationRefused
        A blocking check has not passed on data of the branch: they were merged with an override, say.
    Failure
        One of the branches is neither ``main`` nor a working branch, or both changed the same paths. Nothing is
        changed.
    """
    for branch in (name, into):
        refuse_target(lake, branch, f"{name} is not merged into {into}")
    if name == into:
        raise Failure(f"{name} cannot be merged into itself: name another branch.", allow_retries=False)
    for branch in (name, into):
        refuse_uncommitted(lake, branch)
    head, before = lake.head(name), lake.head(into)
    audit = audit_publication(lake, instance, graph, head, into=into, override=override)
    if not audit.paths and not lake.unreached([head.id], [before.id]):
        # The merge base is already the head that is merged into, so an empty merge would change nothing later, either.
        return BranchMerge(before, (), merged=False)
    metadata = CommitMetadata(merged=name, branch_head=head.id, branch=None if into == MAIN else into)
    try:
        commit = lake.merge(head.id, into, f"Merge {name} into {into}", metadata.to_metadata(), audit)
    except (MergeConflict, Unaudited) as error:
        raise Failure(
            f"{name} is not merged into {into}, which is unchanged: both have other versions of "
            f"{conflicting(lake, error, into, name)}. On {name}, go back to what it began with "
            f"(`lake-assets rollback`), merge {into} into it, and materialize them again.",
            allow_retries=False,
        ) from error
    merged = commit.id != before.id and CommitMetadata.parse(commit.metadata).branch_head == head.id
    return BranchMerge(commit, audit.paths if merged else (), merged)


def merge_events(lake: Lake, log: EventLog, graph: AssetGraph, merge: Commit) -> list[AssetMaterialization]:
    """Return the events that report a merge of a working branch to Dagster: the version of each changed partition.

    Partitions that were reported already are left out.

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
    changed = list(_changed(lake, log, graph, merge))
    publications = changed_publications(lake, graph, merge, changed)
    return changed + [
        _event(lake, merge, asset=key, partition=partition, version=version) for key, partition, version in publications
    ]


def _changed(lake: Lake, log: EventLog, graph: AssetGraph, merge: Commit) -> Iterator[AssetMaterialization]:
    for place in AssetPlaces(graph).of(lake.diff(merge.parents[0], merge.id).paths):
        if any(event.commit == merge.id for event in log.events_of_run(RUNLESS, place.path)):
            continue
        version, rows = place_version(lake, merge.id, place.path), None
        if lake.fingerprint(merge.id, place.path) is None:
            version, rows = ABSENT, 0
        with suppress(PathNotFound, OSError, ValueError, KeyError):
            manifest = read_manifest(lake.path(merge.id, place.path))
            version, rows = manifest.data_version, manifest.rows
        partition = place.partition
        yield _event(lake, merge, asset=place.asset, partition=partition, version=version, path=place.path, rows=rows)


def _event(
    lake: Lake,
    merge: Commit,
    *,
    asset: AssetKey,
    partition: str | None,
    version: str,
    path: str | None = None,
    rows: int | None = None,
) -> AssetMaterialization:
    into = CommitMetadata.parse(merge.metadata).branch or MAIN
    return AssetMaterialization(
        asset,
        description=f"Commit {merge.id[:12]}: {as_markdown(merge.message.partition(chr(10))[0])}",
        metadata=place_metadata(lake, into, merge.id, path, rows) | published_metadata(into, merge.id),
        partition=partition,
        tags={DATA_VERSION: version},
    )
