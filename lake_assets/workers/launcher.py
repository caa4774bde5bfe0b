"""The run launcher that `dagster.yaml` names: a run goes to a warm worker, or to a process of its own."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from dagster import DagsterRun, DefaultRunLauncher

from lake_assets._dagster import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from lake_assets.workers import messages
from lake_assets.workers.assigned import worker_of
from lake_assets.workers.surroundings import environment

if TYPE_CHECKING:
    from dagster import DagsterInstance

_LOG = logging.getLogger("dagster.lake_assets.workers")

_TO_TAKE = 20.0
"""Seconds in which a worker takes a run or refuses it."""
_TO_TELL = 5.0


class WarmRunLauncher(DefaultRunLauncher):
    """Has a run executed by a warm worker that is free and fits. Otherwise Dagster's default launcher starts a process.

    What is queued, how many runs go on at once, pools and monitoring are Dagster's.
    """

    def launch_run(self, context: LaunchRunContext) -> None:
        """Launch a run.

        Parameters
        ----------
        context
            The run, and the workspace.

        Raises
        ------
        NoAnswer
            A worker did not say whether it takes the run. Nobody else may execute it, then.
        """
        if not self._take(context.dagster_run.run_id):
            super().launch_run(context)

    def _take(self, run_id: str) -> bool:
        folder = messages.folder_of(self._known)
        question = {"ask": messages.RUN, "run": run_id, "environment": environment()}
        for name in messages.names(folder):
            try:
                # One that hangs is left alone: it might take the run later, beside another process.
                messages.ask(folder, name, {"ask": messages.AT, "run": run_id}, _TO_TELL)
            except (messages.NoWorker, messages.NoAnswer) as reason:
                _LOG.info("%s", reason)
                continue
            try:
                answer = messages.ask(folder, name, question, _TO_TAKE)
            except messages.NoWorker as reason:
                # It begins a run only after it has answered.
                _LOG.info("%s", reason)
                continue
            if answer["taken"]:
                return True
            _LOG.info("Run %s is not for the warm worker %s: %s", run_id, name, answer["why"])
        return False

    def terminate(self, run_id: str) -> bool:
        """Stop a run. Returns whether it was there to be stopped.

        Parameters
        ----------
        run_id
            Id of the run.
        """
        run = self._known.get_run_by_id(run_id)
        name = worker_of(run) if run is not None and not run.is_finished else None
        if run is None or name is None:
            return super().terminate(run_id)
        self._known.report_run_canceling(run)
        try:
            question = {"ask": messages.STOP, "run": run_id}
            stopped = messages.ask(messages.folder_of(self._known), name, question, _TO_TELL)["at"]
        except messages.NoWorker:
            stopped = False
        now = self._known.get_run_by_id(run_id)
        if not stopped and now is not None and not now.is_finished:
            self._known.report_run_canceled(now, f"The warm worker {name} that executed it is gone.")
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Whether runs can be asked after: those of warm workers can."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Tell whether the worker of a run is at this run. Of a process of its own nothing is known, as in Dagster.

        Parameters
        ----------
        run
            The run.
        """
        name = worker_of(run)
        if name is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        try:
            question = {"ask": messages.AT, "run": run.run_id}
            at = messages.ask(messages.folder_of(self._known), name, question, _TO_TELL)["at"]
        except messages.NoWorker as reason:
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, str(reason), run_worker_id=name)
        except messages.NoAnswer as reason:
            return CheckRunHealthResult(WorkerStatus.RUNNING, str(reason), transient=True, run_worker_id=name)
        if at:
            return CheckRunHealthResult(WorkerStatus.RUNNING, run_worker_id=name)
        return CheckRunHealthResult(
            WorkerStatus.NOT_FOUND, f"the warm worker {name} is not at this run", run_worker_id=name
        )

    @property
    def _known(self) -> DagsterInstance:
        return self._instance
