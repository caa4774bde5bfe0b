"""When a worker ends, and what it refuses: a worker in this process, whose runs are made up."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterEvent, DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.utils import make_new_run_id

from lake_assets.runs.lock import is_held
from lake_assets.settings import WorkerSettings
from lake_assets.workers import messages, worker
from lake_assets.workers.lifeline import Lifeline
from lake_assets.workers.surroundings import differences, environment
from lake_assets.workers.worker import Bounds, Worker
from lake_assets_tests.workers.conftest import until

MODULE = "lake_assets_tests.workers.code"
SECONDS = 20.0
GIBIBYTE = 1 << 30


class Code:
    """The sources that a worker has loaded."""

    def __init__(self) -> None:
        self.path: str | None = None

    def changed(self) -> str | None:
        return self.path


class Desk:
    """A Dagster with one worker, which this process is. Its runs end as they are told to."""

    def __init__(self, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
        self.instance = instance
        self.code = Code()
        self.memory = 0
        self.jvm_is_good = True
        self.executed: list[str] = []
        self._ends: dict[str, str] = {}
        self._folder = messages.folder_of(instance)
        monkeypatch.setattr(worker, "execute_run", self._execute)
        monkeypatch.setattr(worker, "clean_jvm", lambda: self.jvm_is_good)
        monkeypatch.setattr(worker, "_memory", lambda: self.memory)

    def serve(self, script: Callable[[], None], runs: int = 20, memory: int = GIBIBYTE) -> None:
        """Be a worker, while a thread asks what a launcher asks. The worker ends when the script has, or before."""
        read, written = os.pipe()
        failed: list[BaseException] = []

        def ask() -> None:
            try:
                until("the worker", lambda: self.workers() == ["desk"])
                script()
            except BaseException as error:  # noqa: BLE001 -- raised again below
                failed.append(error)
            finally:
                os.close(written)

        thread = threading.Thread(target=ask)
        thread.start()
        Worker(
            self.instance,
            "desk",
            module=MODULE,
            spark_keys=frozenset({"spark"}),
            sources=self.code,  # pyright: ignore[reportArgumentType]
            environment=environment(),
            bounds=Bounds(runs, memory),
        ).serve(Lifeline(read, lambda: None))
        thread.join(SECONDS)
        if failed:
            raise failed[0]

    def workers(self) -> list[str]:
        return messages.names(self._folder)

    def queue(self, end: str = "succeed", *, module: str = MODULE, **run_config: Any) -> str:
        """Make a run that ends like this, and return its id."""
        location = ReconstructableRepository.for_module(module, "defs")
        origin = location.get_reconstructable_job("job").get_python_origin()
        run = DagsterRun("job", make_new_run_id(), run_config, job_code_origin=origin)
        self.instance.run_storage.add_run(run)
        self._ends[run.run_id] = end
        return run.run_id

    def offer(self, run_id: str, surroundings: dict[str, str] | None = None) -> str | None:
        """Offer a run to the worker, and return why it was refused."""
        question = {"ask": messages.RUN, "run": run_id, "environment": surroundings or environment()}
        answer = messages.ask(self._folder, "desk", question, SECONDS)
        assert answer["taken"] == (answer["why"] is None)
        return answer["why"]

    def take(self, end: str = "succeed") -> str:
        """Have the worker execute a run, and return the run's id when it has."""
        run_id = self.queue(end)
        assert self.offer(run_id) is None
        until("it is over", lambda: not self.is_at(run_id))
        return run_id

    def is_at(self, run_id: str) -> bool:
        try:
            return messages.ask(self._folder, "desk", {"ask": messages.AT, "run": run_id}, SECONDS)["at"]
        except messages.NoWorker:
            return False

    def status(self, run_id: str) -> DagsterRunStatus:
        run = self.instance.get_run_by_id(run_id)
        assert run
        return run.status

    def _execute(self, instance: DagsterInstance, run_id: str) -> None:
        self.executed.append(run_id)
        run = instance.get_run_by_id(run_id)
        assert run
        match self._ends[run_id]:
            case "succeed":
                instance.report_dagster_event(DagsterEvent(DagsterEventType.PIPELINE_SUCCESS.value, "job"), run_id)
            case "fail":
                instance.report_run_failed(run)
            case "be canceled":
                instance.report_run_canceled(run)
            case _:
                pass


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT)}
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        yield Desk(instance, monkeypatch)
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_it_ends_after_its_number_of_runs(desk: Desk) -> None:
    def script() -> None:
        runs = [desk.take() for _ in range(3)]
        until("it has ended", lambda: desk.workers() == [])
        assert desk.executed == runs

    desk.serve(script, runs=3)


def test_the_number_is_twenty_or_what_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert WorkerSettings.read().runs == 20
    monkeypatch.setenv("LAKE_WORKER_RUNS", "1")
    assert WorkerSettings.read().runs == 1
    monkeypatch.setenv("LAKE_WORKER_RUNS", "0")
    with pytest.raises(ValueError, match="LAKE_WORKER_RUNS"):
        WorkerSettings.read()


def test_it_ends_after_the_run_that_brought_it_over_its_memory(desk: Desk) -> None:
    def script() -> None:
        desk.memory = GIBIBYTE
        desk.take()
        desk.take()
        desk.memory += 1
        desk.take()
        until("it has ended", lambda: desk.workers() == [])
        assert len(desk.executed) == 3

    desk.serve(script)


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("fail", DagsterRunStatus.FAILURE),
        ("be canceled", DagsterRunStatus.CANCELED),
        ("stay unfinished", DagsterRunStatus.FAILURE),
    ],
)
def test_it_ends_after_a_run_that_did_not_succeed(desk: Desk, end: str, status: DagsterRunStatus) -> None:
    def script() -> None:
        desk.take()
        run = desk.take(end)
        until("it has ended", lambda: desk.workers() == [])
        assert desk.status(run) == status
        assert is_held(desk.instance, run) is None

    desk.serve(script)


def test_it_ends_with_its_jvm(desk: Desk) -> None:
    def script() -> None:
        desk.jvm_is_good = False
        run = desk.take()
        until("it has ended", lambda: desk.workers() == [])
        assert desk.status(run) == DagsterRunStatus.SUCCESS

    desk.serve(script)


def test_it_ends_without_a_run_where_its_code_has_changed(desk: Desk) -> None:
    def script() -> None:
        desk.take()
        desk.code.path = "assets.py"
        run = desk.queue()
        assert desk.offer(run) == "assets.py has changed since it was loaded"
        until("it has ended", lambda: desk.workers() == [])
        assert desk.status(run) == DagsterRunStatus.NOT_STARTED

    desk.serve(script)


def test_what_does_not_fit_is_refused_and_it_stays(desk: Desk) -> None:
    def script() -> None:
        ours = environment()
        for name in ("JDK_JAVA_OPTIONS", "SPARK_JARS", "SPARK_DRIVER_MEMORY", "SPARK_CONF", "the working folder"):
            why = desk.offer(desk.queue(), {**ours, name: "another"})
            assert why == f"it was started with another value of {name}"
        gone = {name: value for name, value in ours.items() if name != "PATH"}
        assert desk.offer(desk.queue(), gone) == "it was started with another value of PATH"
        assert "is not of this code location" in str(desk.offer(desk.queue(module="another.module")))
        configured = desk.queue(resources={"spark": {"config": {"conf": {"spark.driver.memory": "3g"}}}})
        assert desk.offer(configured) == "the run's configuration changes the resource spark"
        other = desk.queue(resources={"lake": {"config": {}}})
        assert desk.offer(other) is None
        until("it is over", lambda: not desk.is_at(other))
        assert desk.executed == [other]

    desk.serve(script)
    assert desk.workers() == []


def test_nobody_is_told_the_values_of_an_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    before = environment()
    monkeypatch.setenv("LAKEFS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("COLUMNS", "77")
    monkeypatch.chdir("/")
    now = environment()
    assert differences(before, now) == ["LAKEFS_SECRET_ACCESS_KEY", "the working folder"]
    assert "hush" not in str(now)
