"""Deletes the data of an asset, or of a partition, from ``main`` or a working branch. A named person says why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dagster import AssetMaterialization, DagsterInstance, Failure

from lake_assets.lake.audit import Override
from lake_assets.lake.contract import MAIN, Commit, Lake
from lake_assets.lake.names import belongs_to, beside
from lake_assets.resources.working_branch import in_metadata
from lake_assets.runs.asset_metadata import DATA_VERSION, DELETION_BY, DELETION_REASON, place_metadata
from lake_assets.runs.asset_places import AssetPlaces
from lake_assets.runs.audit import NO_ASSET
from lake_assets.runs.branch import refuse_target
from lake_assets.runs.commit_metadata import CommitMetadata
from lake_assets.runs.correction import DELETION, Correction, correct, refuse_part
from lake_assets.runs.event_log import RUNLESS, EventLog
from lake_assets.runs.rollback import ABSENT, changed_publications
from lake_assets.text.markdown import as_markdown

if TYPE_CHECKING:
    from lake_assets._dagster import AssetGraph


@dataclass(frozen=True, slots=True)
class Deletion:
    """A planned deletion.

    Parameters
    ----------
    head
        Head of the branch when the deletion was planned.
    place
        The folder: an asset's prefix, or a partition's folder.
    paths
        The files in the folder, and in the folder beside it.
    branch
        The branch that they are deleted from.
    """

    head: Commit
    place: str
    paths: tuple[str, ...]
    branch: str = MAIN


def plan_deletion(lake: Lake, place: str, branch: str = MAIN) -> Deletion:
    """Find the files that a deletion removes.

    Parameters
    ----------
    lake
        The lake.
    place
        The folder: an asset's prefix, or a partition's folder.
    branch
        The branch: ``main``, or a working branch.

    Raises
    ------
    Failure
        The branch holds nothing there, or the folder is only a part of what one write made.
    """
    refuse_target(lake, branch, "Nothing is deleted")
    head = lake.head(branch)
    paths = [item.path for folder in (place, beside(place)) for item in lake.list(head.id, folder)]
    if not paths:
        raise Failure(f"{branch} holds nothing at {place!r}: there is nothing to delete.")
    refuse_part(lake, head.id, place, "delete that, or write it again")
    return Deletion(head, place, tuple(paths), branch)


def delete(lake: Lake, instance: DagsterInstance, graph: AssetGraph, plan: Deletion, *, by: str, reason: str) -> Commit:
    """Remove the planned files on a branch of their own, merge it, and return the merge.

    Earlier commits keep the files. Afterwards, report :func:`deletion_events` to Dagster.

    Parameters
    ----------
    lake
        The lake.
    instance
        The Dagster instance.
    graph
        The graph of the code location.
    plan
        The deletion, from :func:`plan_deletion`.
    by
        The person who asks for it.
    reason
        The reason.

    Raises
    ------
    Failure
        Something was published to the same place since the deletion was planned. Nothing is changed.
    """
    metadata = CommitMetadata(deleted=plan.place, by=by, reason=reason, branch=in_metadata(plan.branch))
    message = f"Delete {plan.place}\n\n{reason}"

    def write(branch: str) -> None:
        prefix, _, below = plan.place.partition("/")
        apart = {path for path in plan.paths if belongs_to(path) != path}
        with lake.write(
            branch,
            prefix,
            message=message,
            metadata=metadata.to_metadata(),
            partitions=[below] if below else None,
            beside=[beside(plan.place)] if apart else [],
        ) as place:
            place.removed |= apart

    correction = Correction(
        kind=DELETION,
        head=plan.head,
        message=message,
        metadata=metadata,
        refused=f"{plan.place} is not deleted",
        override=Override(by, reason, _checks(graph, plan)),
        into=plan.branch,
    )
    return correct(lake, instance, graph, correction, write)


def _checks(graph: AssetGraph, plan: Deletion) -> tuple[str, ...]:
    """Return the checks that a deletion has to override."""
    places = AssetPlaces(graph)
    found = [places.find(path) for path in plan.paths]
    assets = {place.asset for place in found if place is not None}
    blocking = [
        node.key.to_user_string() for node in graph.asset_check_nodes if node.blocking and node.key.asset_key in assets
    ]
    return (*sorted(blocking), *[NO_ASSET] * (None in found))


def deletion_events(lake: Lake, log: EventLog, graph: AssetGraph, merge: Commit) -> list[AssetMaterialization]:
    """Return the events that report a deletion to Dagster: each partition is absent now.

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
    made = CommitMetadata.parse(merge.metadata)
    by, reason, branch = made.by or "somebody", made.reason or "", made.branch or MAIN
    description = as_markdown(f"Deleted by {by}: {reason}")
    deletion = {DELETION_BY: by, DELETION_REASON: reason}
    changed = AssetPlaces(graph).of(lake.diff(merge.parents[0], merge.id).paths)
    absent = [
        AssetMaterialization(
            place.asset,
            description=description,
            metadata={**place_metadata(lake, branch, merge.id, place.path, 0), **deletion},
            partition=place.partition,
            tags={DATA_VERSION: ABSENT},
        )
        for place in changed
        if not any(event.commit == merge.id for event in log.events_of_run(RUNLESS, place.path))
    ]
    published = [
        AssetMaterialization(
            key,
            description=description,
            metadata={**place_metadata(lake, branch, merge.id), **deletion},
            partition=partition,
            tags={DATA_VERSION: version},
        )
        for key, partition, version in changed_publications(lake, graph, merge, absent)
    ]
    return absent + published
