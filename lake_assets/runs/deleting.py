"""Deleting: an asset's data, or those of one partition, taken off ``main`` by a named person, with a reason."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dagster import AssetMaterialization, DagsterInstance, Failure

from lake_assets.lake.audit import Override
from lake_assets.lake.contract import MAIN, Commit, Lake
from lake_assets.lake.errors import LakeError, MergeConflict, Unaudited
from lake_assets.lake.names import ancestors, belongs_to, beside
from lake_assets.layout.manifest import MANIFEST
from lake_assets.runs.asset_places import AssetPlaces
from lake_assets.runs.audit import NO_ASSET, audit_publication
from lake_assets.runs.event_log import COMMIT, DATA_VERSION, PREFIX, ROW_COUNT, RUNLESS, EventLog
from lake_assets.runs.lock import acquire_run_lock
from lake_assets.runs.publishing import conflicting
from lake_assets.runs.rollback import ABSENT, REASON, changed_publications

if TYPE_CHECKING:
    from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

BRANCH = "delete-"
"""Beginning of the names of the branches that deletions are made on."""
DELETED = "deleted"
"""Commit metadata: the folder that a deletion took off ``main``."""
BY = "by"
"""Commit metadata: who did."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """What a deletion is to take away, as ``main`` was when it was planned.

    Parameters
    ----------
    head
        ``main`` then.
    place
        The folder: an asset's prefix, or a partition's folder.
    paths
        The files in it, and those beside it.
    """

    head: Commit
    place: str
    paths: tuple[str, ...]


def plan_deletion(lake: Lake, place: str) -> Deletion:
    """Look what ``main`` holds at a place.

    Raises
    ------
    Failure
        Nothing, or no more than a part of what one write made.
    """
    head = lake.head(MAIN)
    paths = [item.path for folder in (place, beside(place)) for item in lake.list(head.id, folder)]
    if not paths:
        raise Failure(f"{MAIN} holds nothing at {place!r}: there is nothing to delete.")
    whole = next((above for above in ancestors(place) if lake.fingerprint(head.id, f"{above}/{MANIFEST}")), None)
    if whole is not None:
        raise Failure(f"{place!r} is a part of {whole!r}, which was written as a whole: delete that, or write it anew.")
    return Deletion(head, place, tuple(paths))


def delete(lake: Lake, instance: DagsterInstance, graph: AssetGraph, plan: Deletion, by: str, reason: str) -> Commit:
    """Take the planned files away on a branch of their own, merge it into ``main``, and return the merge.

    Every commit before keeps them. :func:`deletion_events` is what Dagster is to be told afterwards.

    Raises
    ------
    Failure
        Something was published to the same place since it was planned; ``main`` is as it was.
    """
    name = f"{BRANCH}{secrets.token_hex(6)}"
    acquire_run_lock(instance, name)
    lake.create_branch(name, plan.head.id)
    metadata = {DELETED: plan.place, BY: by, REASON: reason}
    message = f"Delete {plan.place}\n\n{reason}"
    try:
        prefix, _, below = plan.place.partition("/")
        partitions = [below] if below else None
        apart = {path for path in plan.paths if belongs_to(path) != path}
        folders = [beside(plan.place)] if apart else []
        with lake.write(name, prefix, "overwrite", message, metadata, partitions, folders) as write:
            write.removed |= apart
        override = Override(by, reason, _checks(graph, plan))
        audit = audit_publication(lake, instance, graph, lake.head(name), override=override)
        return lake.merge(audit.source, MAIN, message, metadata, audit)
    except (MergeConflict, Unaudited) as error:
        raise Failure(
            f"{plan.place} is not deleted: since it was looked at, {MAIN} got other versions of "
            f"{conflicting(lake, error)}. {MAIN} is as it was. Look at it again, and start anew.",
            allow_retries=False,
        ) from error
    finally:
        with suppress(LakeError):
            lake.delete_branch(name)


def _checks(graph: AssetGraph, plan: Deletion) -> tuple[str, ...]:
    """Return the checks that stand between a deletion and ``main``."""
    places = AssetPlaces(graph)
    found = [places.find(path) for path in plan.paths]
    assets = {place.asset for place in found if place is not None}
    blocking = [
        node.key.to_user_string() for node in graph.asset_check_nodes if node.blocking and node.key.asset_key in assets
    ]
    return (*sorted(blocking), *[NO_ASSET] * (None in found))


def deletion_events(lake: Lake, log: EventLog, graph: AssetGraph, merge: Commit) -> list[AssetMaterialization]:
    """Return what Dagster is to be told of a deletion: of each partition, that it is absent; once.

    Parameters
    ----------
    merge
        The commit on ``main``.
    """
    reason = merge.metadata.get(REASON, "")
    described = f"Deleted by {merge.metadata.get(BY, 'somebody')}: {reason}"
    common: dict[str, str | int] = {
        COMMIT: merge.id,
        "lake/branch": MAIN,
        "lake/repository": lake.repository,
        "deletion/by": merge.metadata.get(BY, ""),
        "deletion/reason": reason,
    }
    changed = AssetPlaces(graph).of(lake.diff(merge.parents[0], merge.id).paths)
    told = [
        AssetMaterialization(
            place.asset,
            description=described,
            metadata={**common, PREFIX: place.path, ROW_COUNT: 0},
            partition=place.partition,
            tags={DATA_VERSION: ABSENT},
        )
        for place in changed
        if not any(event.commit == merge.id for event in log.all_of(RUNLESS, place.path))
    ]
    published = [
        AssetMaterialization(
            key, description=described, metadata=common, partition=partition, tags={DATA_VERSION: version}
        )
        for key, partition, version in changed_publications(lake, graph, merge, told)
    ]
    return told + published
