"""A job in a warm worker: the same for a test as :class:`JobProcess`, but one process executes one after another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import psutil
from dagster import DagsterInstance, DagsterRun

from lake_assets import domains
from lake_assets.workers import messages
from lake_assets.workers.assigned import end_runs_of, worker_of
from lake_assets_tests.conftest import REPOSITORY_ROOT
from lake_assets_tests.processes.job_process import PATIENCE, JobProcess
from lake_assets_tests.processes.warm_worker import TAG

_YAML = """\
telemetry: {enabled: false}
run_launcher: {module: lake_assets.workers.launcher, class: WarmRunLauncher}
"""


class WarmWorkers:
    """The warm workers of a test, each of one set of settings."""

    def __init__(self, cwd: Path, dagster_home: Path) -> None:
        (dagster_home / "dagster.yaml").write_text(_YAML)
        self._cwd = cwd
        self._home = dagster_home
        self._workers: list[tuple[Mapping[str, str], str, JobProcess]] = []
        self._last: dict[str, WarmJob] = {}

    def start(self, name: str, key: str, settings: Mapping[str, str], killed_at: tuple[str, ...]) -> WarmJob:
        """Launch a run, which a worker that is free takes; one is started where there is none."""
        settings = {**settings, "PYTHONPATH": str(REPOSITORY_ROOT)}
        worker, process = self._free(settings)
        since = len(process.lines)
        tags = {**({"dagster/partition": key} if key else {}), **({TAG: json.dumps(killed_at)} if killed_at else {})}
        command = [sys.executable, "-m", "lake_assets_tests.processes.launched", name, json.dumps(tags)]
        done = subprocess.run(
            command, cwd=self._cwd, env=_environment(settings), capture_output=True, text=True, timeout=PATIENCE
        )
        assert done.returncode == 0, done.stderr[-4000:]
        job = WarmJob(name, done.stdout.split()[-1], worker, process, since, self._home)
        self._last[worker] = job
        return job

    def end(self) -> None:
        for _, _, process in self._workers:
            process.end()

    def _free(self, settings: Mapping[str, str]) -> tuple[str, JobProcess]:
        for known, worker, process in self._workers:
            last = self._last.get(worker)
            if known != settings or process.process.poll() is not None:
                continue
            if psutil.Process(process.pid).status() == psutil.STATUS_STOPPED:
                continue  # A test has stopped it, so it answers nobody.
            if last is None or last.is_over():
                if last is None or last.run().is_success:
                    return worker, process
                # It is replaced after a run that did not succeed.
                process.wait()
        worker = uuid4().hex[:12]
        process = JobProcess(
            "",
            "",
            self._cwd,
            settings,
            command=["-m", "lake_assets_tests.processes.warm_worker", "lake_assets.definitions", worker],
        )
        self._workers.append((settings, worker, process))
        process.wait_until(lambda: worker in messages.names(self._home / "workers"))
        return worker, process


class WarmJob:
    """A run that a worker has taken."""

    def __init__(
        self, name: str, run_id: str, worker: str, process: JobProcess, since: int, dagster_home: Path
    ) -> None:
        self.name = name
        self.run_id = run_id
        self._worker = worker
        self._process = process
        self._since = since
        self._home = dagster_home
        assert worker_of(self.run()) == worker, f"another process has the run\n{self.text[-4000:]}"

    @property
    def text(self) -> str:
        """What the worker has said since."""
        return "".join(self._process.lines[self._since :])

    @property
    def pid(self) -> int:
        """Id of the worker's process, and of its group."""
        return self._process.pid

    def run(self) -> DagsterRun:
        """Return the run as Dagster knows it."""
        with DagsterInstance.from_config(str(self._home)) as instance:
            run = instance.get_run_by_id(self.run_id)
            assert run is not None
            return run

    def is_over(self) -> bool:
        """Tell whether the worker is done with it."""
        try:
            question = {"ask": messages.AT, "run": self.run_id}
            return not messages.ask(self._home / "workers", self._worker, question, PATIENCE)["at"]
        except messages.NoWorker:
            return self._process.process.poll() is not None

    def wait_for_line(self, pattern: str) -> None:
        """Wait until a line matches."""
        self._process.wait_for_line(pattern, since=self._since)

    def wait_until(self, condition: object) -> None:
        """Wait for a condition of the world outside."""
        self._process.wait_until(condition)  # pyright: ignore[reportArgumentType]

    def ends_within(self, seconds: float) -> bool:
        """Tell whether it ends within so many seconds."""
        deadline = time.monotonic() + seconds
        while not self.is_over():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def wait(self) -> int:
        """Wait for its end, and return what a process of its own would end with."""
        assert self.ends_within(PATIENCE)
        code = self._process.process.poll()
        if code is not None and code < 0:
            # What its parent does.
            messages.remove(self._home / "workers", self._worker)
            with DagsterInstance.from_config(str(self._home)) as instance:
                end_runs_of(instance, self._worker)
            assert self.run().is_finished
            return code
        return 0 if self.run().is_success else 1

    def succeed(self) -> None:
        """Wait for its end, which must be good."""
        assert self.wait() == 0, self.text[-6000:]

    def kill(self, *, group: bool) -> None:
        """Kill -9 the worker alone, or its whole group with Spark's JVM."""
        self._process.kill(group=group)
        self._process.wait()

    def wait_for_orphans(self) -> None:
        """Wait until Spark has noticed that its driver is dead."""
        self._process.wait_for_orphans()


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    ours = {variable.name for variable in domains.all_variables()}
    return {**{name: value for name, value in os.environ.items() if name not in {*ours, "DAGSTER_HOME"}}, **settings}
