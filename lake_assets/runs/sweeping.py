"""Removes the branches of failed runs once they are older than an age limit."""

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
from lake_assets.runs.lock import is_alive, is_held, live_runs, remove_stale_locks

# The name of a run's branch, and of the private branches that a backend creates for its writes.
_RUN_BRANCH = re.compile(re.escape(branch_name("")) + r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


UNKNOWN = (
    "Dagster does not know its run: it may belong to another Dagster instance. If that is lost, publish the branch or "
    "remove it with `lake-assets sweep --unknown-runs`"
)
"""Why the branch of an unknown run is kept."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch of a run, a rollback, a deletion or a killed writer.

    Parameters
    ----------
    name
        Name of the branch.
    remove
        Whether it is to be removed.
    reason
        Why it is removed or kept.
    """

    name: str
    remove: bool
    reason: str


def branches_left(
    lake: Lake, instance: DagsterInstance, limit: timedelta, *, unknown: bool = False, run_id: str = ""
) -> Iterator[Branch]:
    """Yield the branches of runs, rollbacks, deletions and killed writers.

    A branch is to be removed if its run failed or was cancelled, or its process was killed, and it is older than the
    limit.

    Parameters
    ----------
    lake
        The lake.
    instance
        The Dagster instance.
    limit
        The age limit.
    unknown
        Also remove the branches of runs that Dagster does not know. They may be runs of another Dagster instance.
    run_id
        Only look at the branches of this run.
    """
    now = datetime.now(timezone.utc)
    needed = live_runs(instance).needed
    private = lake.private_branches()
    for name in (*lake.branches(), *private):
        own = private.get(name)
        found = _RUN_BRANCH.match(name if own is None else own.works_for)
        if run_id and (found is None or found[1] != run_id):
            continue
        try:
            if found is not None:
                head = lake.head(name)
                if instance.get_run_by_id(found[1]) is None:
                    yield _unknown_branch(name, head, now - limit, unknown)
                else:
                    needs = found[1] in needed
                    yield _run_branch(name, found[1], head, instance, before=now - limit, needed=needs)
            elif name.startswith((ROLLBACK, DELETION)):
                yield _branch_by_hand(name, lake.head(name), instance, now - limit)
            elif own is not None:
                yield _by_age(name, f"a write or merge of {own.works_for}", own.since, now - limit)
        except RefNotFound:
            continue  # The branch was published or removed meanwhile.


def _unknown_branch(name: str, head: Commit, before: datetime, remove: bool) -> Branch:
    if not remove:
        return Branch(name, False, UNKNOWN)
    return _by_age(name, "Dagster does not know its run", head.committed_at, before)


def _run_branch(
    name: str, run_id: str, head: Commit, instance: DagsterInstance, *, before: datetime, needed: bool
) -> Branch:
    record = instance.get_run_record_by_id(run_id)
    if record is None:
        return Branch(name, False, UNKNOWN)
    run = record.dagster_run
    if is_alive(instance, run):
        return Branch(name, False, f"its run is not finished: it is {run.status.value}")
    if needed:
        return Branch(name, False, "a run that is not finished was re-executed from it")
    if run.status == DagsterRunStatus.SUCCESS:
        return Branch(name, False, f"its run succeeded: it waits for `lake-assets publish {run_id}`")
    how = run.status.value if run.is_finished else f"{run.status.value}, its process was killed"
    return _by_age(name, f"its run is {how}", max(head.committed_at, _last_seen(record)), before)


def _branch_by_hand(name: str, head: Commit, instance: DagsterInstance, before: datetime) -> Branch:
    what = "rollback" if name.startswith(ROLLBACK) else "deletion"
    locked = is_held(instance, name)
    made = CommitMetadata.parse(head.metadata)
    if locked or (locked is None and made.rollback_to is None and made.deleted is None):
        return Branch(name, False, f"the {what} may still be running")
    return _by_age(name, f"the {what} was interrupted", head.committed_at, before)


def _by_age(name: str, what: str, since: datetime, before: datetime) -> Branch:
    when = f"{what}, since {since:%Y-%m-%d %H:%M}Z"
    return Branch(name, since <= before, when if since <= before else f"{when}: not past the age limit")


def _last_seen(record: RunRecord) -> datetime:
    seconds = record.end_time or record.start_time or record.create_timestamp.timestamp()
    return datetime.fromtimestamp(seconds, timezone.utc)


def sweep(
    lake: Lake, instance: DagsterInstance, limit: timedelta, *, unknown: bool = False, run_id: str = ""
) -> list[Branch]:
    """Remove the branches that are to be removed and the lock files of finished runs, and return all branches.

    Parameters
    ----------
    lake
        The lake.
    instance
        The Dagster instance.
    limit
        The age limit.
    unknown, run_id
        As of :func:`branches_left`.
    """
    found = list(branches_left(lake, instance, limit, unknown=unknown, run_id=run_id))
    for branch in found:
        if branch.remove:
            with suppress(RefNotFound):
                lake.delete_branch(branch.name)
    remove_stale_locks(instance)
    return found
