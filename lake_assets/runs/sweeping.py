"""Sweeping: the branches that failed runs left are removed once nobody is expected to look at them any more."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from dagster import DagsterInstance, DagsterRunStatus, RunRecord

from lake_assets.lake.contract import Commit, Lake
from lake_assets.lake.errors import RefNotFound
from lake_assets.runs.branch import branch_name
from lake_assets.runs.commit_metadata import CommitMetadata
from lake_assets.runs.correction import DELETION, ROLLBACK
from lake_assets.runs.lock import forget_ended, is_alive, is_held, living

# A run's branch, and any further one that a backend makes for its steps.
_RUN_BRANCH = re.compile(re.escape(branch_name("")) + r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch that a run, a rollback or another writer left, whether it is to be removed, and why or why not."""

    name: str
    remove: bool
    reason: str


def branches_left(lake: Lake, instance: DagsterInstance, limit: timedelta) -> Iterator[Branch]:
    """Yield the branches of runs, rollbacks, and killed writers.

    To be removed are those of failed and cancelled runs, and of what was killed, past the age limit.
    """
    now = datetime.now(timezone.utc)
    needed = living(instance).needed
    private = lake.private_branches()
    for name in (*lake.branches(), *private):
        own = private.get(name)
        found = _RUN_BRANCH.match(name if own is None else own.works_for)
        try:
            if found is not None:
                yield _run_branch(name, found[1], lake.head(name), instance, now - limit, found[1] in needed)
            elif name.startswith((ROLLBACK, DELETION)):
                yield _branch_by_hand(name, lake.head(name), instance, now - limit)
            elif own is not None:
                yield _by_age(name, f"a write or merge of {own.works_for}", own.since, now - limit)
        except RefNotFound:
            continue  # Published, or removed by somebody else, meanwhile.


def _run_branch(
    name: str, run_id: str, head: Commit, instance: DagsterInstance, before: datetime, needed: bool
) -> Branch:
    record = instance.get_run_record_by_id(run_id)
    if record is None:
        return Branch(name, False, "Dagster knows no such run: it may be another Dagster's")
    run = record.dagster_run
    if is_alive(instance, run):
        return Branch(name, False, f"its run goes on: it is {run.status.value}")
    if needed:
        return Branch(name, False, "a run that goes on was re-executed from it")
    if run.status == DagsterRunStatus.SUCCESS:
        return Branch(name, False, f"its run succeeded: it waits for `lake-assets publish {run_id}`")
    how = run.status.value if run.is_finished else f"{run.status.value}, its process was killed"
    return _by_age(name, f"its run is {how}", max(head.committed_at, _last_seen(record)), before)


def _branch_by_hand(name: str, head: Commit, instance: DagsterInstance, before: datetime) -> Branch:
    what = "rollback" if name.startswith(ROLLBACK) else "deletion"
    held = is_held(instance, name)
    made = CommitMetadata.parse(head.metadata)
    if held or (held is None and made.rollback_to is None and made.deleted is None):
        return Branch(name, False, f"the {what} may go on")
    return _by_age(name, f"the {what} ended halfway", head.committed_at, before)


def _by_age(name: str, what: str, since: datetime, before: datetime) -> Branch:
    when = f"{what}, since {since:%Y-%m-%d %H:%M}Z"
    return Branch(name, since <= before, when if since <= before else f"{when}: not past the age limit")


def _last_seen(record: RunRecord) -> datetime:
    seconds = record.end_time or record.start_time or record.create_timestamp.timestamp()
    return datetime.fromtimestamp(seconds, timezone.utc)


def sweep(lake: Lake, instance: DagsterInstance, limit: timedelta) -> list[Branch]:
    """Remove the branches that are to be removed, and the locks of ended runs; return all branches looked at."""
    found = list(branches_left(lake, instance, limit))
    for branch in found:
        if branch.remove:
            with suppress(RefNotFound):
                lake.delete_branch(branch.name)
    forget_ended(instance)
    return found
