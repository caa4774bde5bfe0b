"""Which worker a run is given to, and the end of runs whose worker is dead."""

from __future__ import annotations

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus

from lake_assets.runs.lock import unfinished_runs

TAG = "lake/worker"
"""Tag of a run: the name of its worker, and the run's id, since a re-execution inherits the tags."""


def assign(instance: DagsterInstance, run_id: str, worker: str) -> None:
    """Tag a run with its worker.

    Parameters
    ----------
    instance
        The Dagster instance.
    run_id
        Id of the run.
    worker
        Name of the worker.
    """
    instance.add_run_tags(run_id, {TAG: f"{worker} {run_id}"})


def worker_of(run: DagsterRun) -> str | None:
    """Return the name of the worker that a run was given to; None if it has a process of its own.

    Parameters
    ----------
    run
        The run.
    """
    name, _, run_id = run.tags.get(TAG, "").partition(" ")
    return name if name and run_id == run.run_id else None


def end_runs_of(instance: DagsterInstance, worker: str) -> list[str]:
    """Report the runs of a dead worker as failed, or as canceled if that was asked for. Returns their ids.

    Parameters
    ----------
    instance
        The Dagster instance.
    worker
        Name of the worker, whose process must be dead.
    """
    ended: list[str] = []
    for run in unfinished_runs(instance):
        if worker_of(run) == worker:
            end(instance, run, f"Its warm worker {worker} was killed or has crashed.")
            ended.append(run.run_id)
    return ended


def end(instance: DagsterInstance, run: DagsterRun, why: str) -> None:
    """Report an unfinished run as failed, or as canceled if that was asked for.

    Parameters
    ----------
    instance
        The Dagster instance.
    run
        The run.
    why
        The reason.
    """
    if run.status == DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, why)
    else:
        instance.report_run_failed(run, why)
