"""A code location without Spark, on disk, and its warm workers: real processes, on a Dagster home of a test's own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TypeVar

import psutil
import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, DefaultRunLauncher
from dagster._core.definitions.reconstruct import ReconstructableRepository

from lake_assets.workers import messages
from lake_assets.workers.assigned import worker_of

PATIENCE = 120.0
CODE = Path(__file__).with_name("code.py")

T = TypeVar("T")


def until(what: str, attempt: Callable[[], T | None]) -> T:
    """Return the first true answer."""
    deadline = time.monotonic() + PATIENCE
    while not (answer := attempt()):
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE:g} s"
        time.sleep(0.05)
    return answer


class Place:
    """A Dagster home, a code location, and the parent of its workers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "dagster"
        self.home.mkdir()
        (self.home / "dagster.yaml").write_text(
            "telemetry: {enabled: false}\n"
            "run_launcher: {module: lake_assets.workers.launcher, class: WarmRunLauncher}\n"
        )
        self.package = f"desk_{folder.name.replace('-', '_')}"
        self.code = folder / self.package / "code.py"
        self.code.parent.mkdir()
        (self.code.parent / "__init__.py").write_text("")
        self.code.write_text(CODE.read_text())
        self.instance = DagsterInstance.from_config(str(self.home))
        self.fresh: list[str] = []
        self.said = folder / "said"
        self._parent: subprocess.Popen[bytes] | None = None

    @property
    def module(self) -> str:
        return f"{self.package}.code"

    def start_workers(self, number: int = 1) -> None:
        command = [sys.executable, "-c", "from lake_assets.cli import main; main()", "-m", self.module, "workers"]
        with self.said.open("ab") as said:
            self._parent = subprocess.Popen(
                [*command, "--number", str(number)],
                cwd=self.folder,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    @property
    def parent(self) -> psutil.Process:
        assert self._parent is not None
        return psutil.Process(self._parent.pid)

    def workers(self) -> list[str]:
        return messages.names(messages.folder_of(self.instance))

    def a_worker(self, other_than: str = "") -> str:
        """Wait for a worker, and return its name."""
        return until("a worker", lambda: next((name for name in self.workers() if name != other_than), None))

    def process_of(self, worker: str) -> psutil.Process:
        return next(process for process in self.parent.children() if worker in process.cmdline())

    def create(self, job: str, **options: object) -> DagsterRun:
        loaded = import_module(self.module)
        repository = ReconstructableRepository.for_module(self.module, "defs", working_directory=str(self.folder))
        return self.instance.create_run_for_job(
            loaded.defs.resolve_job_def(job),
            job_code_origin=repository.get_reconstructable_job(job).get_python_origin(),
            **options,  # pyright: ignore[reportArgumentType]
        )

    def launch(self, job: str, **options: object) -> str:
        """Launch a run as Dagster's daemon does, and return its id."""
        run = self.create(job, **options)
        self.instance.launch_run(run.run_id, None)  # pyright: ignore[reportArgumentType]
        return run.run_id

    def run(self, run_id: str) -> DagsterRun:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run

    def wait_for(self, run_id: str, *statuses: DagsterRunStatus) -> DagsterRun:
        wanted = statuses or (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)
        return until(f"{run_id} {wanted}", lambda: run if (run := self.run(run_id)).status in wanted else None)

    def wait_until_free(self, worker: str, run_id: str) -> None:
        """Wait until a worker is done with a run."""
        folder = messages.folder_of(self.instance)

        def done() -> bool:
            try:
                return not messages.ask(folder, worker, {"ask": messages.AT, "run": run_id}, 5)["at"]
            except messages.NoWorker:
                return True

        until("the worker is free", done)

    def succeed(self, job: str, **options: object) -> DagsterRun:
        """Launch a run, which a worker executes well."""
        run_id = self.launch(job, **options)
        worker = worker_of(self.run(run_id))
        assert worker, f"it got a process of its own\n{self.log()}"
        run = self.wait_for(run_id)
        assert run.status == DagsterRunStatus.SUCCESS, self.log()
        self.wait_until_free(worker, run.run_id)
        return run

    def log(self) -> str:
        return self.said.read_text(errors="replace")[-6000:]

    def end(self) -> None:
        with suppress(psutil.NoSuchProcess, AssertionError):
            family = [*self.parent.children(recursive=True), self.parent]
            for process in family:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            assert self._parent is not None
            self._parent.wait(20)
        self.instance.dispose()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    place = Place(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(place.home))
    # What Dagster's own launcher would start.
    monkeypatch.setattr(
        DefaultRunLauncher, "launch_run", lambda _, context: place.fresh.append(context.dagster_run.run_id)
    )
    yield place
    place.end()
