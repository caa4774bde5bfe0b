"""Publishes a run: its branch is merged into its target, by an asset, by a sensor, or by hand.

The target is ``main``, or the working branch that the run began at.
"""

# No postponed annotations here: Dagster reads them when the decorators run.

import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetObservation,
    AssetsDefinition,
    AssetSpec,
    DagsterInstance,
    DagsterRun,
    DataVersion,
    Failure,
    FreshnessPolicy,
    MaterializeResult,
    PartitionsDefinition,
    asset,
)

from lake_assets._dagster import graph_of
from lake_assets.lake.audit import Audit, Override
from lake_assets.lake.contract import MAIN, Commit, Lake
from lake_assets.lake.errors import LakeError, MergeConflict, RefNotFound, Unaudited
from lake_assets.lake.names import belongs_to, join
from lake_assets.layout.asset_folders import prefix_of
from lake_assets.layout.partitions import folders
from lake_assets.resources.lake import LakeResource
from lake_assets.resources.working_branch import in_metadata, target_of
from lake_assets.runs.asset_metadata import place_metadata
from lake_assets.runs.audit import PublicationRefused, audit_publication
from lake_assets.runs.branch import (
    begun_head,
    branch_name,
    delete_run_branch,
    find_head,
    published_commit,
    read_ref,
    refuse_lost,
    refuse_target,
)
from lake_assets.runs.commit_metadata import CommitMetadata
from lake_assets.runs.partitions import partitions_of
from lake_assets.runs.published_state import mark_unpublished, published_observations
from lake_assets.runs.recording import record_checks

if TYPE_CHECKING:
    from lake_assets._dagster import AssetGraph

LAYER = "layer"
"""Asset tag: raw, refined, quarantine, published or sink."""
PUBLISHED = "published"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Publication:
    """The result of publishing a run.

    Parameters
    ----------
    commit
        The commit that holds the run's data; the head of the target if the run wrote nothing.
    merged
        Whether this call made that commit.
    changed
        The number of paths that it changed on the target.
    into
        The target: ``main``, or a working branch.
    """

    commit: Commit
    merged: bool
    changed: int = 0
    into: str = MAIN


def publish(
    lake: Lake,
    instance: DagsterInstance,
    run: DagsterRun,
    graph: "AssetGraph",
    *,
    override: Override | None = None,
    head: Commit | None = None,
    report: Callable[[AssetObservation], None] | None = None,
) -> Publication:
    """Merge a run's branch into its target and delete the branch. Publishing a run twice makes one merge.

    Parameters
    ----------
    lake
        The lake.
    instance
        The Dagster instance.
    run
        The run.
    graph
        The graph of the whole code location, with its blocking checks.
    override
        Checks that a person overrides.
    head
        Head of the run's branch, if the caller knows it.
    report
        Writes the observation of a published partition to Dagster's event log. By default, the observations belong to
        no run.

    Raises
    ------
    PublicationRefused
        A blocking check has not passed, or the branch has uncommitted changes.
    Failure
        The run's data are lost, or another run changed the same paths on the target, or the run skips steps of a run
        whose branch is gone, or the target is gone. The target and the run's branch are unchanged.
    """
    name = branch_name(run.run_id)
    head = head or find_head(lake, run.run_id)
    refuse_lost(lake, instance, run, head)
    into = target_of(instance, run)
    if head is None:
        published = published_commit(lake, instance, run.run_id, thorough=True)
        if published is not None:
            return Publication(published, merged=False, into=into)
        # Re-executed after a failed publication, the run wrote nothing itself. It publishes its parent's data.
        head = begun_head(lake, instance, run)
    refuse_target(lake, into, f"Run {run.run_id} cannot be published")
    refuse_uncommitted(lake, name)
    try:
        audit = audit_publication(lake, instance, graph, head, into=into, override=override)
    except PublicationRefused as refusal:
        # The branch waits, maybe for longer than Dagster's storage lives.
        if override is None:
            with suppress(LakeError):
                mark_unpublished(lake, instance, run, str(refusal.description))
                # Last, since the sensors leave a branch with a record alone.
                record_checks(lake, instance, graph, run, head)
        raise
    commit = merge_run(lake, run.run_id, run.job_name, head=head, into=into, audit=audit)
    left = find_head(lake, run.run_id)
    if left == head:
        with suppress(RefNotFound):
            delete_run_branch(lake, run.run_id)
    elif left is None:
        # Another process published the same run first, with the same merge.
        return Publication(commit, merged=False, into=into)
    before = commit.parents[0] if len(commit.parents) > 1 else commit.id
    merged = before != commit.id and CommitMetadata.parse(commit.metadata).run_id == run.run_id
    for observation in published_observations(lake, instance, run, graph, commit=commit, audit=audit, into=into):
        (report or instance.report_runless_asset_event)(observation)
    return Publication(commit, merged, len(audit.paths) if merged else 0, into)


def merge_run(lake: Lake, run_id: str, job: str | None, *, head: Commit, into: str, audit: Audit) -> Commit:
    """Merge what a run has written, exactly at the commit that was audited, even if its branch has moved since.

    Parameters
    ----------
    lake
        The lake.
    run_id, job
        The run, and the name of its job.
    head
        The commit that was audited.
    into
        The branch that it is merged into.
    audit
        The audit.

    Raises
    ------
    Failure
        Another run changed the same paths. Nothing was merged.
    """
    metadata = CommitMetadata(run_id=run_id, job=job, branch_head=head.id, branch=in_metadata(into))
    try:
        return lake.merge(head.id, into, f"Publish run {run_id}", metadata.to_metadata(), audit)
    except (MergeConflict, Unaudited) as error:
        raise Failure(
            f"Run {run_id} cannot be published: since it began, {into} got other versions of "
            f"{conflicting(lake, error, into)}. {into} is unchanged and the branch {branch_name(run_id)!r} is kept. "
            f"Re-execute all steps to rebuild on the new {into}; re-executing from failure would conflict again.",
            allow_retries=False,
        ) from error


def refuse_uncommitted(lake: Lake, branch: str) -> None:
    """Raise if a branch has uncommitted changes. They would not be merged, and no check has read them.

    Parameters
    ----------
    lake
        The lake.
    branch
        The branch.

    Raises
    ------
    PublicationRefused
        The branch has uncommitted changes.
    """
    paths = lake.changes(branch)
    if paths:
        more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
        raise PublicationRefused(
            f"The branch {branch!r} has uncommitted changes: {', '.join(paths[:5])}{more}. "
            f"`lake-assets doctor --mend --branch {branch}` drops them; what is to stay, write in a run."
        )


def conflicting(lake: Lake, error: MergeConflict | Unaudited, *branches: str) -> str:
    """Return the paths of a conflict, each with the run and commit that last wrote it on each of the branches.

    Parameters
    ----------
    lake
        The lake.
    error
        The conflict.
    branches
        The branch that was merged into; for a merge of two protected branches, both.
    """
    shown: list[str] = []
    # Paths of rows first: they say more than the files beside an asset.
    for path in sorted(error.paths, key=lambda path: belongs_to(path) != path)[:5]:
        written = [(branch, next(lake.log(branch, 1, path), None)) for branch in branches]
        by = [
            f"{f'on {branch} ' if len(branches) > 1 else ''}by run {_run_of(writer)}, commit {writer.id}"
            for branch, writer in written
            if writer is not None
        ]
        shown.append(f"{path!r} ({'; '.join(by)})" if by else repr(path))
    more = len(error.paths) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _run_of(commit: Commit) -> str:
    return CommitMetadata.parse(commit.metadata).run_id or "unknown"


def published_version(lake: Lake, commit: str, prefixes: Iterable[str]) -> str:
    """Return the data version of a publication: a hash of the exact files at some prefixes.

    Parameters
    ----------
    lake
        The lake.
    commit
        The commit that holds the files.
    prefixes
        The folders.
    """
    content = [lake.fingerprint(commit, prefix) or "" for prefix in sorted(prefixes)]
    return hashlib.sha256("\n".join(content).encode()).hexdigest()[:32]


def _refuse_absent(lake: Lake, commit: str, prefixes: Sequence[str], run_id: str, into: str) -> None:
    absent = [prefix for prefix in prefixes if lake.fingerprint(commit, prefix) is None]
    if absent:
        more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
        raise Failure(
            f"Run {run_id} is not published: neither its branch nor {into} holds "
            f"{', '.join(absent[:5])}{more}. Materialize them first.",
            allow_retries=False,
        )


def published_asset(
    group: str,
    assets: Iterable[AssetsDefinition | AssetSpec | AssetKey | str],
    *,
    profiles: Iterable[AssetsDefinition | AssetSpec | AssetKey | str] = (),
    owners: Sequence[str] = (),
    partitions_def: PartitionsDefinition[str] | None = None,
    freshness_policy: FreshnessPolicy | None = None,
) -> AssetsDefinition:
    """Return ``<group>_published``: the asset whose materialization publishes the run.

    It is downstream of the assets, and their blocking checks must pass first. It finds these checks itself, in the
    graph of the whole code location. So a run that did not select them is refused.

    Parameters
    ----------
    group
        Name of the asset group.
    assets
        The group's lake assets: their definitions, keys, or keys as Dagster shows them (``sales/daily``).
    profiles
        Assets that are published with them if the run made them. A run without them is published, too.
    owners
        Owners of the asset, as in :func:`dagster.asset`.
    partitions_def
        Partitions of the asset. By default, those that the definitions share, so that a backfill runs all of the group
        together.
    freshness_policy
        Freshness policy of the asset, as in :func:`dagster.asset`.

    Raises
    ------
    ValueError
        The definitions differ in their partitions definitions or backfill policies.

    Examples
    --------
    >>> @asset(io_manager_key="io_manager", group_name="desk")
    ... def trades() -> pandas.DataFrame: ...
    >>> published = published_asset("desk", [trades], owners=["team:desk"])
    """
    members = list(assets)
    keys = list(dict.fromkeys(key for member in members for key in _keys_of(member)))
    definitions = [member for member in members if isinstance(member, AssetsDefinition)]
    specs = [spec for member in members for spec in _specs_of(member)]
    partitions = partitions_def or _shared_value(group, "partitions_def", [spec.partitions_def for spec in specs])
    # With different policies, a backfill would execute the assets and this one in different runs.
    policies = [definition.backfill_policy for definition in definitions]

    @asset(
        name=f"{group}_published",
        group_name=group,
        deps=[*keys, *(key for member in profiles for key in _keys_of(member))],
        partitions_def=partitions,
        backfill_policy=_shared_value(group, "backfill_policy", policies) if partitions is not None else None,
        kinds={"lake"},
        description=(
            f"The audited data of group {group}, visible on `main`: one atomic merge of the run's branch. "
            "It is materialized only when every blocking check has passed."
        ),
        owners=owners,
        tags={LAYER: PUBLISHED},
        code_version="1",
        freshness_policy=freshness_policy,
    )
    def published(context: AssetExecutionContext, lake: LakeResource) -> MaterializeResult[Any]:
        graph = graph_of(context)
        prefixes = [path for key in keys for path in _paths(graph, key, partitions, context)]
        head = find_head(lake.lake, context.run.run_id)
        into = target_of(context.instance, context.run)
        refuse_target(lake.lake, into, f"Run {context.run.run_id} cannot be published")
        commit = lake.lake.head(into).id if head is None else head.id
        if head is None and context.run.parent_run_id is not None:
            # Re-executed after a failed publication, the run publishes its parent's data.
            commit = read_ref(lake.lake, context.instance, context.run)
        # Without this check, the asset could be materialized alone for a partition that does not exist.
        _refuse_absent(lake.lake, commit, prefixes, context.run.run_id, into)
        result = publish(lake.lake, context.instance, context.run, graph, head=head, report=context.log_event)
        if not result.merged:
            # What the run began with may have been deleted there.
            _refuse_absent(lake.lake, result.commit.id, prefixes, context.run.run_id, into)
        note = f"{result.changed} path(s) changed on {into}" if result.merged else "nothing to publish"
        context.log.info("%s: commit %s", note, result.commit.id)
        return MaterializeResult(
            metadata={
                **place_metadata(lake.lake, into, result.commit.id),
                "merged": result.merged,
                "paths_changed": result.changed,
                "note": note,
            },
            data_version=DataVersion(published_version(lake.lake, result.commit.id, prefixes)),
        )

    return published


def _keys_of(member: AssetsDefinition | AssetSpec | AssetKey | str) -> Iterable[AssetKey]:
    if isinstance(member, AssetsDefinition):
        return sorted(member.keys)
    if isinstance(member, AssetSpec):
        return [member.key]
    return [member if isinstance(member, AssetKey) else AssetKey.from_user_string(member)]


def _specs_of(member: AssetsDefinition | AssetSpec | AssetKey | str) -> Iterable[AssetSpec]:
    if isinstance(member, AssetsDefinition):
        return member.specs
    return [member] if isinstance(member, AssetSpec) else []


def _shared_value(group: str, name: str, values: Iterable[_T | None]) -> _T | None:
    """Return the value that all definitions share; None if no definition has a value."""
    distinct: list[_T] = []
    for value in values:
        if value is not None and value not in distinct:
            distinct.append(value)
    if len(distinct) > 1:
        raise ValueError(
            f"the assets of {group}_published have {len(distinct)} different values of {name}: call published_asset "
            "once for the assets of each value"
        )
    return distinct[0] if distinct else None


def _paths(
    graph: "AssetGraph",
    key: AssetKey,
    partitions_def: PartitionsDefinition[str] | None,
    context: AssetExecutionContext,
) -> Iterable[str]:
    """Return the folders of an asset that a run publishes: those of the run's partitions, or the whole asset's."""
    prefix = prefix_of(key)
    # An unpartitioned asset of a partitioned group is published together with any partition.
    if partitions_def is None or (graph.get(key).is_executable and graph.get(key).partitions_def is None):
        return [prefix]
    return [join(prefix, place) for place in folders(partitions_def, partitions_of(context)).values()]
