"""The branch that a run reads and writes, where it begins, and whether it was published."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, cast

from dagster import DagsterEventType, DagsterInstance, DagsterRun, Failure

from lake_assets.lake.audit import UNDOES
from lake_assets.lake.contract import MAIN, Commit, Lake
from lake_assets.lake.errors import AlreadyExists, RefNotFound
from lake_assets.resources.working_branch import BRANCH_TAG, target_of
from lake_assets.runs.asset_metadata import COMMIT, PREFIX, REPOSITORY
from lake_assets.runs.commit_metadata import CommitMetadata
from lake_assets.runs.lock import acquire_run_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE_REF = "source_ref"
"""Run configuration of the resource ``snapshot``: the ref that a run reads instead of the head of its target."""

_KNOWN: set[tuple[str, str]] = set()
"""Repository and run of the branches that this process has seen, so that it does not ask again at every output."""


CLOCK_SLACK = timedelta(minutes=5)
"""The largest expected difference between the clocks of Dagster's database and of the lake."""


def branch_name(run_id: str) -> str:
    """Return the name of a run's branch.

    Parameters
    ----------
    run_id
        Id of the run.
    """
    return f"run-{run_id}"


def find_head(lake: Lake, run_id: str) -> Commit | None:
    """Return the head of a run's branch; None if the branch does not exist.

    Parameters
    ----------
    lake
        The lake.
    run_id
        Id of the run.
    """
    try:
        return lake.head(branch_name(run_id))
    except RefNotFound:
        return None


def published_commit(lake: Lake, instance: DagsterInstance, run_id: str, *, thorough: bool = False) -> Commit | None:
    """Return the newest merge that published a run and was not undone; None if there is none.

    It reads the log of the branch that the run publishes to, and that of ``main``, back to the commit at which the run
    began. No clock is asked: those of Dagster and of the lake may differ.

    Parameters
    ----------
    lake
        The lake.
    instance
        The Dagster instance.
    run_id
        Id of the run.
    thorough
        Read the log also if Dagster has no event of something that the run or one that it continues wrote.
    """
    record = instance.get_run_record_by_id(run_id)
    run = record.dagster_run if record is not None else None
    wrote = _some_commit(lake, instance, run_id) if run is not None else None
    if run is not None and wrote is None and not thorough:
        return None
    begun = _began_at(lake, instance, run_id, wrote) if wrote is not None else None
    for number, branch in enumerate(targets(lake, instance, run)):
        undone: set[str] = set()
        # On its target, a publication is a merge of the branch's own line.
        for commit in lake.first_parents(branch) if number == 0 else lake.log(branch):
            undone.add(commit.metadata.get(UNDOES, ""))
            published = len(commit.parents) > 1 and CommitMetadata.parse(commit.metadata).run_id == run_id
            if published and commit.id not in undone:
                return commit
            if commit.id == begun:
                break
    return None


def _some_commit(lake: Lake, instance: DagsterInstance, run_id: str) -> str | None:
    """Return a commit that a run materialized, or else one that it continues did."""
    for candidate in (run_id, *ancestors(instance, run_id)):
        found = next(filter(None, materialized(lake, instance, candidate)), None)
        if found is not None:
            return found
    return None


def _began_at(lake: Lake, instance: DagsterInstance, run_id: str, wrote: str) -> str | None:
    """Return the commit at which a run began, from one of its commits. None if that is gone."""
    own = {run_id, *ancestors(instance, run_id)}
    with suppress(RefNotFound):
        for commit in lake.first_parents(wrote):
            if len(commit.parents) != 1 or CommitMetadata.parse(commit.metadata).run_id not in own:
                return commit.id
    return None


def targets(lake: Lake, instance: DagsterInstance, run: DagsterRun | None) -> list[str]:
    """Return the branches that may hold what a run published: its target, and ``main``, into which that is merged.

    Parameters
    ----------
    lake
        The lake.
    instance
        The Dagster instance.
    run
        The run; None if it is not known.
    """
    target = target_of(instance, run) if run is not None else MAIN
    # A working branch may have been merged and deleted since.
    return [MAIN] if target == MAIN or not is_protected(lake, target) else [target, MAIN]


def is_protected(lake: Lake, branch: str) -> bool:
    """Return whether runs may publish to a branch: it is ``main`` or a working branch.

    Parameters
    ----------
    lake
        The lake.
    branch
        Name of the branch.
    """
    return branch == MAIN or branch in lake.protected_branches()


def base_commit(lake: Lake, instance: DagsterInstance, run: DagsterRun, ref: str) -> str:
    """Return the commit at which a run's branch began: what was published before the run.

    Parameters
    ----------
    lake
        The lake.
    instance
        The Dagster instance.
    run
        The run.
    ref
        What the run reads, as of :func:`read_ref`.
    """
    own = {run.run_id, *ancestors(instance, run.run_id)}
    for commit in lake.first_parents(ref):
        if CommitMetadata.parse(commit.metadata).run_id not in own:
            return commit.id
    return ref


def ensure_run_branch(lake: Lake, instance: DagsterInstance, run: DagsterRun) -> str:
    """Return the name of the run's branch. The branch is created at its first use.

    It starts from the head of the run's target (``main``, or a working branch), or from the ref that the run's
    configuration ``source_ref`` names. A run that skips steps starts from the branch of its nearest ancestor that still
    has one, or from the target if an ancestor was published.

    Parameters
    ----------
    lake
        The lake.
    instance
        The Dagster instance.
    run
        The run.

    Raises
    ------
    Failure
        The output of the skipped steps is neither on an ancestor's branch nor published, or what the run materialized
        is lost, or ``source_ref`` names a ref that does not exist, or the target is not a working branch.
    """
    name = branch_name(run.run_id)
    known = (lake.repository, run.run_id)
    if known in _KNOWN:
        return name
    if not run.is_finished:
        # The lock comes before the branch. Else the sweeper could see a branch whose run seems to have no process.
        acquire_run_lock(instance, run.run_id)
    refuse_lost(lake, instance, run)
    # Once a run that skips steps has its branch, the branch that it started from may be gone.
    skips = _skips_steps(instance, run)
    if skips and find_head(lake, run.run_id) is not None:
        _KNOWN.add(known)
        return name
    target = target_of(instance, run)
    refuse_target(lake, target, f"Run {run.run_id} cannot begin")
    start = _starting_point(lake, instance, run, target) if skips else _source_ref(run, target)
    # Another step of this run, in another process, may create the branch first.
    with suppress(AlreadyExists):
        try:
            lake.create_branch(name, start)
        except RefNotFound as error:
            # The starting point may be published and deleted as soon as another step has created this run's branch.
            if find_head(lake, run.run_id) is None:
                raise Failure(
                    f"Run {run.run_id} cannot begin: its configuration {SOURCE_REF} names {start!r}, and the lake has "
                    "no such branch, tag or commit.",
                    allow_retries=False,
                ) from error
    _KNOWN.add(known)
    return name


def read_ref(lake: Lake, instance: DagsterInstance, run: DagsterRun) -> str:
    """Return the commit that a step of this run reads: the head of its branch, or the merge that published it.

    Parameters
    ----------
    lake
        The lake.
    instance
        The Dagster instance.
    run
        The run.
    """
    head = find_head(lake, run.run_id)
    if head is not None:
        # At its first use in this process, check that the branch still holds what the run wrote.
        ensure_run_branch(lake, instance, run)
    else:
        head = published_commit(lake, instance, run.run_id)
    return (head or begun_head(lake, instance, run)).id


def begun_head(lake: Lake, instance: DagsterInstance, run: DagsterRun) -> Commit:
    """Return the head of the branch of a run that has none yet, or no longer. The branch is created.

    Parameters
    ----------
    lake
        The lake.
    instance
        The Dagster instance.
    run
        The run.

    Raises
    ------
    Failure
        As for `ensure_run_branch`.
    """
    # Somebody may have deleted the branch since this process saw it.
    _KNOWN.discard((lake.repository, run.run_id))
    return lake.head(ensure_run_branch(lake, instance, run))


def delete_run_branch(lake: Lake, run_id: str) -> None:
    """Delete a run's branch.

    Parameters
    ----------
    lake
        The lake.
    run_id
        Id of the run.

    Raises
    ------
    RefNotFound
        The branch does not exist.
    """
    _KNOWN.discard((lake.repository, run_id))
    lake.delete_branch(branch_name(run_id))


def materialized(lake: Lake, instance: DagsterInstance, run_id: str) -> dict[str, str]:
    """Return each commit of a lake that a run's materializations name, with its asset and partition.

    Parameters
    ----------
    lake
        The lake.
    instance
        The Dagster instance.
    run_id
        Id of the run.
    """
    made: dict[str, str] = {}
    for record in instance.get_records_for_run(run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION).records:
        event = record.event_log_entry.asset_materialization
        metadata = {name: str(entry.value) for name, entry in event.metadata.items()} if event is not None else {}
        if event is not None and PREFIX in metadata and metadata.get(REPOSITORY) == lake.repository:
            asset = event.asset_key.to_user_string()
            made[metadata.get(COMMIT, "")] = f"{asset} {event.partition}" if event.partition else asset
    return made


def refuse_lost(lake: Lake, instance: DagsterInstance, run: DagsterRun, head: Commit | None = None) -> None:
    """Raise if something that a run materialized is neither on its branch nor on ``main``.

    What the ancestors materialized that the run continues counts too. Without this check, a branch that was deleted or
    reset would be created again from ``main``, and the run would succeed without its data.

    Parameters
    ----------
    lake
        The lake.
    instance
        The Dagster instance.
    run
        The run.
    head
        Head of the run's branch, if the caller knows it.

    Raises
    ------
    Failure
        Something is lost. The message names the assets.
    """
    carried = carried_runs(lake, instance, run)
    if carried == [run.run_id] and not materialized(lake, instance, run.run_id):
        return
    found = (branch_name(run_id) for run_id in carried if find_head(lake, run_id) is not None)
    branch_head = head.id if head is not None else next(found, None)
    made: dict[str, str] = {}
    # If no branch is left at all, `_starting_point` reports what the ancestors wrote as lost.
    for run_id in carried if branch_head is not None else [run.run_id]:
        made |= materialized(lake, instance, run_id)
    if not made:
        return
    name = branch_name(run.run_id)
    refs = [*([branch_head] if branch_head is not None else []), *targets(lake, instance, run)]
    lost = lake.unreached(refs, made)
    if lost:
        shown = ", ".join(f"{made[commit]} (commit {commit})" for commit in lost[:5])
        more = f" and {len(lost) - 5} more" if len(lost) > 5 else ""
        raise Failure(
            f"Run {run.run_id} materialized {shown}{more}, which neither its branch {name!r} nor {refs[-1]} holds: the "
            "branch was deleted or reset. Nothing of it is published. Re-execute all steps.",
            allow_retries=False,
        )


def carried_runs(lake: Lake, instance: DagsterInstance, run: DagsterRun) -> list[str]:
    """Return the runs whose commits are on a run's branch, newest first: the run, and the ancestors it continues.

    Parameters
    ----------
    lake
        The lake.
    instance
        The Dagster instance.
    run
        The run.
    """
    carried = [run.run_id]
    if _skips_steps(instance, run):
        for ancestor in ancestors(instance, run.run_id):
            if published_commit(lake, instance, ancestor) is not None:
                break
            carried.append(ancestor)
    return carried


def refuse_target(lake: Lake, target: str, what: str) -> None:
    """Raise if a branch is neither ``main`` nor a working branch.

    Parameters
    ----------
    lake
        The lake.
    target
        The branch.
    what
        Beginning of the error message: what cannot be done.

    Raises
    ------
    Failure
        Nothing can be published to the branch.
    """
    if not is_protected(lake, target):
        branches = lake.protected_branches()
        near = get_close_matches(target.strip(), branches, 1)
        advice = f"did you mean {near[0]}?" if near else f"`lake-assets branch create {target.strip()}` makes it."
        raise Failure(
            f"{what}: {target!r} is not a working branch of the lake. There are {', '.join(branches)}; {advice}",
            allow_retries=False,
        )


def head_of(lake: Lake, branch: str) -> Commit:
    """Return the head of the branch that a sensor follows.

    Parameters
    ----------
    lake
        The lake.
    branch
        The branch: ``main``, or a working branch.

    Raises
    ------
    Failure
        There is no such branch. The message says how it is made.
    """
    try:
        return lake.head(branch)
    except RefNotFound:
        refuse_target(lake, branch, "LAKE_BRANCH cannot be followed")
        raise


def _starting_point(lake: Lake, instance: DagsterInstance, run: DagsterRun, target: str) -> str:
    """Return the ref that a run that skips steps starts from."""
    wrote = False
    for ancestor in ancestors(instance, run.run_id):
        _refuse_other_target(instance, run, ancestor, target)
        head = find_head(lake, ancestor)
        if head is not None:
            return head.id
        if published_commit(lake, instance, ancestor) is not None:
            return target
        wrote = wrote or _materialized(instance, ancestor)
    if not wrote:
        return _source_ref(run, target)
    raise Failure(
        f"Run {run.run_id} skips steps of run {run.parent_run_id}, but that run's branch "
        f"{branch_name(run.parent_run_id or '')!r} is gone and was never published, so their output is lost. "
        "Re-execute all steps instead.",
        allow_retries=False,
    )


def _refuse_other_target(instance: DagsterInstance, run: DagsterRun, ancestor: str, target: str) -> None:
    """Raise if a run that skips steps would bring the output of these steps to another branch."""
    parent = instance.get_run_by_id(ancestor)
    if parent is not None and (other := target_of(instance, parent)) != target:
        raise Failure(
            f"Run {run.run_id} skips steps of run {ancestor}, which works on the branch {other!r}, and not on "
            f"{target!r}: leave out the tag {BRANCH_TAG}, or re-execute all steps.",
            allow_retries=False,
        )


def _source_ref(run: DagsterRun, target: str) -> str:
    resources = cast("dict[str, Any]", run.run_config.get("resources", {}))
    return resources.get("snapshot", {}).get("config", {}).get(SOURCE_REF, target)


def _skips_steps(instance: DagsterInstance, run: DagsterRun) -> bool:
    if run.parent_run_id is None:
        return False
    parent = instance.get_run_by_id(run.parent_run_id)
    if parent is not None and run.asset_selection != parent.asset_selection:
        return True
    if not run.step_keys_to_execute or run.execution_plan_snapshot_id is None:
        return bool(run.step_keys_to_execute)
    # Dagster's Python API also names the steps of a run that skips no steps.
    plan = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id)
    return not {step.key for step in plan.steps} <= set(run.step_keys_to_execute)


def ancestors(instance: DagsterInstance, run_id: str) -> Iterator[str]:
    """Yield the ids of the runs that a run was re-executed from, the nearest first.

    Parameters
    ----------
    instance
        The Dagster instance.
    run_id
        Id of the run.
    """
    run = instance.get_run_by_id(run_id) if run_id else None
    while run is not None and run.parent_run_id is not None:
        yield run.parent_run_id
        run = instance.get_run_by_id(run.parent_run_id)


def _materialized(instance: DagsterInstance, run_id: str) -> bool:
    records = instance.get_records_for_run(run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION, limit=1).records
    return bool(records)
