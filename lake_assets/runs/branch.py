"""Which branch a run reads and writes, and whether it was published."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from dagster import DagsterEventType, DagsterInstance, DagsterRun, Failure

from lake_assets.lake.contract import MAIN, Commit, Lake
from lake_assets.lake.errors import AlreadyExists, RefNotFound
from lake_assets.runs.asset_metadata import COMMIT, PREFIX, REPOSITORY
from lake_assets.runs.commit_metadata import CommitMetadata
from lake_assets.runs.lock import acquire_run_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE_REF = "source_ref"
"""Run configuration of the resource ``snapshot``: what a run reads instead of ``main``'s head."""

_KNOWN: set[tuple[str, str]] = set()
"""Repository and run of the branches that this process has seen: they are not looked for again at every output."""

CLOCK_SLACK = timedelta(minutes=5)
"""How far the clocks of Dagster's database and the lake may be apart."""


def branch_name(run_id: str) -> str:
    """Return the name of a run's branch."""
    return f"run-{run_id}"


def find_head(lake: Lake, run_id: str) -> Commit | None:
    """Return the head of a run's branch; None where it has none."""
    try:
        return lake.head(branch_name(run_id))
    except RefNotFound:
        return None


def published_commit(lake: Lake, instance: DagsterInstance, run_id: str) -> Commit | None:
    """Return the newest merge that published a run, or None.

    ``main``'s log is read back to the moment the run was created, no further.
    """
    record = instance.get_run_record_by_id(run_id)
    for commit in lake.log(MAIN):
        if len(commit.parents) > 1 and CommitMetadata.parse(commit.metadata).run_id == run_id:
            return commit
        if record is not None and commit.committed_at < record.create_timestamp - CLOCK_SLACK:
            return None
    return None


def ensure_run_branch(lake: Lake, instance: DagsterInstance, run: DagsterRun) -> str:
    """Return the run's branch, created at first use.

    It starts from ``main``'s head, or from the ref that its configuration ``source_ref`` names. A run that skips steps
    starts from what its ancestors left: the nearest one that still has a branch, or ``main`` where an ancestor was
    published.

    Raises
    ------
    Failure
        The run skips steps whose output is neither on an ancestor's branch nor published, or what it materialized is
        gone, or ``source_ref`` names no ref.
    """
    name = branch_name(run.run_id)
    known = (lake.repository, run.run_id)
    if known in _KNOWN:
        return name
    if not run.is_finished:
        # Before there is a branch: whoever sweeps must never see one whose run seems to have no process.
        acquire_run_lock(instance, run.run_id)
    refuse_lost(lake, instance, run)
    # What a run that skips steps starts from may be gone once it has a branch; another just begins one, if need be.
    skips = _skips_steps(instance, run)
    if skips and find_head(lake, run.run_id) is not None:
        _KNOWN.add(known)
        return name
    start = _starting_point(lake, instance, run) if skips else _source_ref(run)
    # Another step of this run, in a process of its own, may be quicker.
    with suppress(AlreadyExists):
        try:
            lake.create_branch(name, start)
        except RefNotFound as error:
            # What it began at may be published, and its branch be gone, once the run has a branch of its own.
            if find_head(lake, run.run_id) is None:
                raise Failure(
                    f"Run {run.run_id} cannot begin: its configuration {SOURCE_REF} names {start!r}, and the lake has "
                    "no such branch, tag or commit.",
                    allow_retries=False,
                ) from error
    _KNOWN.add(known)
    return name


def read_ref(lake: Lake, instance: DagsterInstance, run: DagsterRun) -> str:
    """Return the commit a step of this run reads: its branch's head, or what it published."""
    head = find_head(lake, run.run_id)
    if head is not None:
        # A process that has not seen it makes sure that it still holds what the run wrote.
        ensure_run_branch(lake, instance, run)
    else:
        head = published_commit(lake, instance, run.run_id)
    if head is None:
        head = lake.head(ensure_run_branch(lake, instance, run))
    return head.id


def delete_run_branch(lake: Lake, run_id: str) -> None:
    """Remove a run's branch; one that is gone already is :class:`RefNotFound`."""
    _KNOWN.discard((lake.repository, run_id))
    lake.delete_branch(branch_name(run_id))


def materialized(lake: Lake, instance: DagsterInstance, run_id: str) -> dict[str, str]:
    """Return the commits of a lake that a run's materializations name, and of which asset and partition each is."""
    made: dict[str, str] = {}
    for record in instance.get_records_for_run(run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION).records:
        event = record.event_log_entry.asset_materialization
        told = {name: str(entry.value) for name, entry in event.metadata.items()} if event is not None else {}
        if event is not None and PREFIX in told and told.get(REPOSITORY) == lake.repository:
            what = event.asset_key.to_user_string()
            made[told.get(COMMIT, "")] = f"{what} {event.partition}" if event.partition else what
    return made


def refuse_lost(lake: Lake, instance: DagsterInstance, run: DagsterRun, head: Commit | None = None) -> None:
    """Make sure that what Dagster says a run, and those it goes on from, materialized is on its branch or on ``main``.

    A branch that was deleted or reset meanwhile would else be made anew from ``main``, and the run end well. ``head``
    is that of the run's branch, where the caller has asked for it already.

    Raises
    ------
    Failure
        It is not. Says which assets are lost.
    """
    carried = carried_runs(lake, instance, run)
    if carried == [run.run_id] and not materialized(lake, instance, run.run_id):
        return
    found = (branch_name(run_id) for run_id in carried if find_head(lake, run_id) is not None)
    held = head.id if head is not None else next(found, None)
    made: dict[str, str] = {}
    # Where no branch is left at all, what the ancestors wrote is missed where the run begins.
    for run_id in carried if held is not None else [run.run_id]:
        made |= materialized(lake, instance, run_id)
    if not made:
        return
    name = branch_name(run.run_id)
    refs = [MAIN] if held is None else [held, MAIN]
    lost = lake.unreached(refs, made)
    if lost:
        shown = ", ".join(f"{made[commit]} (commit {commit})" for commit in lost[:5])
        more = f" and {len(lost) - 5} more" if len(lost) > 5 else ""
        raise Failure(
            f"Run {run.run_id} materialized {shown}{more}, which neither its branch {name!r} nor {MAIN} holds: the "
            "branch was deleted or reset. Nothing of it is published. Re-execute all steps.",
            allow_retries=False,
        )


def carried_runs(lake: Lake, instance: DagsterInstance, run: DagsterRun) -> list[str]:
    """Return the runs whose writes a run's branch carries, newest first: itself, and the ancestors it went on from."""
    carried = [run.run_id]
    if _skips_steps(instance, run):
        for ancestor in ancestors(instance, run.run_id):
            if published_commit(lake, instance, ancestor) is not None:
                break
            carried.append(ancestor)
    return carried


def _starting_point(lake: Lake, instance: DagsterInstance, run: DagsterRun) -> str:
    """Return what a run that skips steps starts from."""
    wrote = False
    for ancestor in ancestors(instance, run.run_id):
        head = find_head(lake, ancestor)
        if head is not None:
            return head.id
        if published_commit(lake, instance, ancestor) is not None:
            return MAIN
        wrote = wrote or _materialized(instance, ancestor)
    if not wrote:
        return _source_ref(run)
    raise Failure(
        f"Run {run.run_id} skips steps of run {run.parent_run_id}, but that run's branch "
        f"{branch_name(run.parent_run_id or '')!r} is gone and was never published, so their output is lost. "
        "Re-execute all steps instead.",
        allow_retries=False,
    )


def _source_ref(run: DagsterRun) -> str:
    resources = cast("dict[str, Any]", run.run_config.get("resources", {}))
    return resources.get("snapshot", {}).get("config", {}).get(SOURCE_REF, MAIN)


def _skips_steps(instance: DagsterInstance, run: DagsterRun) -> bool:
    if run.parent_run_id is None:
        return False
    parent = instance.get_run_by_id(run.parent_run_id)
    if parent is not None and run.asset_selection != parent.asset_selection:
        return True
    if not run.step_keys_to_execute or run.execution_plan_snapshot_id is None:
        return bool(run.step_keys_to_execute)
    # Dagster's Python API names the steps of a run that skips none, too.
    plan = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id)
    return not {step.key for step in plan.steps} <= set(run.step_keys_to_execute)


def ancestors(instance: DagsterInstance, run_id: str) -> Iterator[str]:
    """Yield the runs that a run was re-executed from, the nearest first."""
    run = instance.get_run_by_id(run_id) if run_id else None
    while run is not None and run.parent_run_id is not None:
        yield run.parent_run_id
        run = instance.get_run_by_id(run.parent_run_id)


def _materialized(instance: DagsterInstance, run_id: str) -> bool:
    records = instance.get_records_for_run(run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION, limit=1).records
    return bool(records)
