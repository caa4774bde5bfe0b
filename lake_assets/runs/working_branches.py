"""Makes and removes working branches: a change of production's data is tried on one, over several runs."""

from __future__ import annotations

from dagster import DagsterInstance, Failure

from lake_assets.lake.contract import MAIN, Commit, Lake
from lake_assets.resources.working_branch import target_of
from lake_assets.runs.lock import live_runs


def create_working_branch(lake: Lake, name: str, start: str = MAIN) -> Commit:
    """Make a working branch, and return the commit at which it begins. No data are copied.

    Parameters
    ----------
    lake
        The lake.
    name
        Name of the branch.
    start
        The ref at which it begins: a protected branch, or a commit of one, or a tag of such a commit.

    Raises
    ------
    Failure
        What the ref holds was never published: it is a run's branch, say.
    LakeError
        The name is not allowed or taken, or there is no such ref.
    """
    begins = lake.head(start)
    if not any(was_at(lake, branch, begins.id) for branch in lake.protected_branches()):
        raise Failure(
            f"The working branch {name!r} cannot begin at {start!r} (commit {begins.id}): neither {MAIN} nor a working "
            f"branch was ever there, so it was not audited. Begin at one of their commits, and publish the run there.",
            allow_retries=False,
        )
    return lake.create_branch(name, begins.id, protected=True)


def was_at(lake: Lake, branch: str, commit: str) -> bool:
    """Return whether a protected branch is at a commit, or was there before.

    Parameters
    ----------
    lake
        The lake.
    branch
        The branch.
    commit
        Id of the commit.
    """
    return any(found.id == commit for found in lake.first_parents(branch))


def refuse_deletion(lake: Lake, instance: DagsterInstance, name: str) -> None:
    """Raise if a branch cannot be deleted as a working branch.

    Parameters
    ----------
    lake
        The lake.
    instance
        The Dagster instance.
    name
        Name of the branch.

    Raises
    ------
    Failure
        It is no working branch, or a run that goes on works on it.
    """
    if name == MAIN or name not in lake.protected_branches():
        there = ", ".join(branch for branch in lake.protected_branches() if branch != MAIN) or "none"
        raise Failure(
            f"{name!r} is not a working branch (there are: {there}). The branches of runs are removed by "
            "`lake-assets sweep` and `lake-assets clean`.",
            allow_retries=False,
        )
    runs = [run for run_id in sorted(live_runs(instance).alive) if (run := instance.get_run_by_id(run_id))]
    working = [run.run_id for run in runs if target_of(instance, run) == name]
    if working:
        raise Failure(
            f"{name} is not deleted: run {', '.join(working)} works on it. Wait until it ends, or terminate it.",
            allow_retries=False,
        )
