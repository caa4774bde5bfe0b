"""Publishing: the merge of a run's branch into ``main``, as an asset, by a sensor, or by hand."""

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

from lake_assets.lake.audit import Override
from lake_assets.lake.contract import MAIN, Commit, Lake
from lake_assets.lake.errors import MergeConflict, RefNotFound, Unaudited
from lake_assets.lake.names import belongs_to, join
from lake_assets.layout.asset_folders import prefix_of
from lake_assets.layout.partitions import folders
from lake_assets.resources.lake import LakeResource
from lake_assets.runs.asset_metadata import place_metadata
from lake_assets.runs.audit import PublicationRefused, audit_publication
from lake_assets.runs.branch import (
    branch_name,
    delete_run_branch,
    ensure_run_branch,
    find_head,
    published_commit,
    read_ref,
    refuse_lost,
)
from lake_assets.runs.commit_metadata import CommitMetadata
from lake_assets.runs.published_state import published_observations

if TYPE_CHECKING:
    from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

LAYER = "layer"
"""Asset tag: raw, refined, quarantine, published or sink."""
PUBLISHED = "published"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Publication:
    """How publishing a run ended.

    Parameters
    ----------
    commit
        The commit on ``main`` that holds what the run wrote; ``main``'s head where it wrote nothing.
    merged
        Whether this call made that merge.
    changed
        Paths it changed on ``main``.
    """

    commit: Commit
    merged: bool
    changed: int = 0


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
    """Merge a run's branch into ``main`` and delete it; publishing a run twice is one merge.

    Parameters
    ----------
    lake, instance, run
        Which run of which Dagster is published to which lake.
    graph
        Of the whole code location: its blocking checks decide.
    override
        Checks that a person overrides.
    head
        That of the run's branch, where the caller has asked for it already.
    report
        Writes an observation of each partition that is published to Dagster's event log. Unless given, the
        observations are of no run.

    Raises
    ------
    PublicationRefused
        The branch carries what no check has passed on, or what nobody committed.
    Failure
        What the run materialized is lost. Or another run changed the same paths meanwhile; ``main`` and the run's
        branch are as they were. Or the run skips steps of one whose branch is gone.
    """
    name = branch_name(run.run_id)
    head = head or find_head(lake, run.run_id)
    refuse_lost(lake, instance, run, head)
    if head is None:
        published = published_commit(lake, instance, run.run_id)
        if published is not None:
            return Publication(published, merged=False)
        # Re-executed from a failed publish, it wrote nothing itself: what is to be published is its parent's.
        head = lake.head(ensure_run_branch(lake, instance, run))
    refuse_uncommitted(lake, name)
    audit = audit_publication(lake, instance, graph, head, override=override)
    metadata = CommitMetadata(run_id=run.run_id, job=run.job_name, branch_head=head.id).to_metadata()
    try:
        # The commit that was audited, wherever the branch is by now.
        commit = lake.merge(head.id, MAIN, f"Publish run {run.run_id}", metadata, audit)
    except (MergeConflict, Unaudited) as error:
        raise Failure(
            f"Run {run.run_id} cannot be published: since it began, {MAIN} got other versions of "
            f"{conflicting(lake, error)}. {MAIN} is as it was and the branch {name!r} is kept. Re-execute all steps "
            f"to rebuild on the new {MAIN}; re-executing from failure would conflict again.",
            allow_retries=False,
        ) from error
    left = find_head(lake, run.run_id)
    if left == head:
        with suppress(RefNotFound):
            delete_run_branch(lake, run.run_id)
    elif left is None:
        # A second publisher of the same run was quicker; the merge is the same one.
        return Publication(commit, merged=False)
    before = commit.parents[0] if len(commit.parents) > 1 else commit.id
    merged = before != commit.id and CommitMetadata.parse(commit.metadata).run_id == run.run_id
    for observation in published_observations(lake, instance, run, graph, commit, audit.paths):
        (report or instance.report_runless_asset_event)(observation)
    return Publication(commit, merged, len(audit.paths) if merged else 0)


def refuse_uncommitted(lake: Lake, branch: str) -> None:
    """Raise where somebody wrote to a branch past this program: no merge would bring it, and no check has read it."""
    paths = lake.changes(branch)
    if paths:
        more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
        raise PublicationRefused(
            f"The branch {branch!r} holds what nobody committed: {', '.join(paths[:5])}{more}. Drop it with lakeFS, or "
            "write it in a run."
        )


def conflicting(lake: Lake, error: MergeConflict | Unaudited) -> str:
    """Return the paths of a conflict, each with the run and commit that wrote it last on ``main``."""
    shown: list[str] = []
    # What lies beside an asset says less than its rows.
    for path in sorted(error.paths, key=lambda path: belongs_to(path) != path)[:5]:
        writer = next(lake.log(MAIN, 1, path), None)
        by = f" (by run {_run_of(writer)}, commit {writer.id})" if writer else ""
        shown.append(f"{path!r}{by}")
    more = len(error.paths) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _run_of(commit: Commit) -> str:
    return CommitMetadata.parse(commit.metadata).run_id or "unknown"


def published_version(lake: Lake, commit: str, prefixes: Iterable[str]) -> str:
    """Return the data version of a publication: of the exact files that a commit holds at these prefixes."""
    content = [lake.fingerprint(commit, prefix) or "" for prefix in sorted(prefixes)]
    return hashlib.sha256("\n".join(content).encode()).hexdigest()[:32]


def published_asset(
    group: str,
    assets: Iterable[AssetsDefinition | AssetSpec | AssetKey | str],
    *,
    owners: Sequence[str] = (),
    partitions_def: PartitionsDefinition[str] | None = None,
    freshness_policy: FreshnessPolicy | None = None,
) -> AssetsDefinition:
    """Return ``<group>_published``: the asset whose materialization publishes the run.

    It stands downstream of the assets, so their blocking checks gate it. It finds these checks itself, in the graph of
    the whole code location: a run that did not select them is refused.

    Parameters
    ----------
    group
        Dagster's group.
    assets
        The group's lake assets: their definitions, keys, or keys as Dagster shows them (``sales/daily``).
    owners, freshness_policy
        As of :func:`dagster.asset`.
    partitions_def
        The group's partitions; by default those that its definitions share. A backfill would execute an unpartitioned
        asset in another run than the partitioned ones.

    Raises
    ------
    ValueError
        The definitions have several partitions definitions.

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
    partitions = partitions_def or _one(group, "partitions_def", [spec.partitions_def for spec in specs])
    # Where policies differ, a backfill would execute the assets in other runs than this one.
    policies = [definition.backfill_policy for definition in definitions]

    @asset(
        name=f"{group}_published",
        group_name=group,
        deps=keys,
        partitions_def=partitions,
        backfill_policy=_one(group, "backfill_policy", policies) if partitions is not None else None,
        kinds={"lake"},
        description=(
            f"The audited data of group {group}, visible on `main`: one atomic merge of the run's branch. "
            "Reached only when every blocking check has passed."
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
        held = lake.lake.head(MAIN).id if head is None else head.id
        if head is None and context.run.parent_run_id is not None:
            # Re-executed from a failed publish, it publishes what that run wrote.
            held = read_ref(lake.lake, context.instance, context.run)
        absent = [prefix for prefix in prefixes if lake.lake.fingerprint(held, prefix) is None]
        if absent:
            # Run alone for an hour that nobody fetched, it would claim to have published it.
            more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
            raise Failure(
                f"Run {context.run.run_id} is not published: neither its branch nor {MAIN} holds "
                f"{', '.join(absent[:5])}{more}. Materialize them first.",
                allow_retries=False,
            )
        result = publish(lake.lake, context.instance, context.run, graph, head=head, report=context.log_event)
        note = f"{result.changed} path(s) changed on {MAIN}" if result.merged else "nothing to publish"
        context.log.info("%s: commit %s", note, result.commit.id)
        return MaterializeResult(
            metadata={
                **place_metadata(lake.lake, MAIN, result.commit.id),
                "merged": result.merged,
                "paths_changed": result.changed,
                "note": note,
            },
            data_version=DataVersion(published_version(lake.lake, result.commit.id, prefixes)),
        )

    return published


def graph_of(context: AssetExecutionContext) -> "AssetGraph":
    """Return the graph of the whole code location, whatever the run's job selected of it.

    A job's own graph lacks the checks that it did not select. It knows the graph that it was selected from, in a run
    without a code location, too (Dagster has no public way to either).
    """
    return context.job_def.asset_layer.asset_graph.source_asset_graph


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


def _one(group: str, name: str, values: Iterable[_T | None]) -> _T | None:
    """Return the one value that definitions share; None where none of them has one."""
    distinct: list[_T] = []
    for value in values:
        if value is not None and value not in distinct:
            distinct.append(value)
    if len(distinct) > 1:
        raise ValueError(
            f"the assets of {group}_published have {len(distinct)} different values of {name}: publish each group of "
            "equal ones by an asset of its own"
        )
    return distinct[0] if distinct else None


def _paths(
    graph: "AssetGraph",
    key: AssetKey,
    partitions_def: PartitionsDefinition[str] | None,
    context: AssetExecutionContext,
) -> Iterable[str]:
    """Return the folders of an asset that a run publishes: those of its partitions, or the one it has."""
    prefix = prefix_of(key)
    # An unpartitioned asset of a partitioned group is published with whichever partition comes next.
    if partitions_def is None or (graph.get(key).is_executable and graph.get(key).partitions_def is None):
        return [prefix]
    return [join(prefix, place) for place in folders(partitions_def, context.partition_keys).values()]
