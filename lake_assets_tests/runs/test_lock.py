"""Whether a run goes on, where Dagster says so for ever: told by its process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus

from lake_assets.runs.lock import acquire_run_lock, is_alive, is_held, remove_stale_locks
from lake_assets_tests.conftest import REPOSITORY_ROOT

RUN = "aaaa0000-0000-4000-8000-000000000001"
OTHER = "bbbb0000-0000-4000-8000-000000000002"


@pytest.fixture
def instance(dagster_home: Path) -> Iterator[DagsterInstance]:
    with DagsterInstance.from_config(str(dagster_home)) as opened:
        yield opened


def until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, "it ended too early"
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("executor", ["in_process", pytest.param("multiprocess", marks=pytest.mark.soak)])
def test_a_run_goes_on_until_its_process_is_killed(instance: DagsterInstance, tmp_path: Path, executor: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    arguments = [instance.root_directory, str(home), executor]
    process = subprocess.Popen(
        [sys.executable, "-m", "lake_assets_tests.runs.waiting_run", *arguments],
        cwd=REPOSITORY_ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        until((home / "waiting").exists, process)
        (run,) = instance.get_runs()
        assert is_held(instance, run.run_id) is True
        assert is_alive(instance, run)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)
    (run,) = instance.get_runs()
    assert run.status == DagsterRunStatus.STARTED
    assert is_held(instance, run.run_id) is False
    assert not is_alive(instance, run)


def test_of_a_run_that_this_machine_never_saw_only_dagster_tells(instance: DagsterInstance) -> None:
    run = DagsterRun("stocks", RUN, status=DagsterRunStatus.STARTED)
    instance.add_run(run)
    assert is_held(instance, RUN) is None
    assert is_alive(instance, run)
    assert not is_alive(instance, DagsterRun("stocks", RUN, status=DagsterRunStatus.FAILURE))


def test_a_run_of_another_machine_is_not_called_dead(instance: DagsterInstance) -> None:
    acquire_run_lock(instance, RUN)
    (lock,) = Path(instance.root_directory, "run_locks").glob("*.lock")
    other = lock.with_name(f"{OTHER}.lock")
    other.write_text('{"host": "elsewhere"}\n')
    assert is_held(instance, OTHER) is None
    other.write_text("torn")
    assert is_held(instance, OTHER) is None


def test_a_process_lets_go_of_runs_that_ended_and_their_locks_are_removed(instance: DagsterInstance) -> None:
    for run_id in (RUN, OTHER):
        instance.add_run(DagsterRun("stocks", run_id, status=DagsterRunStatus.STARTED))
    acquire_run_lock(instance, RUN)
    acquire_run_lock(instance, RUN)
    acquire_run_lock(instance, OTHER)
    assert (is_held(instance, RUN), is_held(instance, OTHER)) == (True, True)
    remove_stale_locks(instance)
    assert is_held(instance, RUN) is True
    instance.delete_run(RUN)
    instance.delete_run(OTHER)
    acquire_run_lock(instance, "next")
    folder = Path(instance.root_directory, "run_locks")
    assert [path.stem for path in folder.glob("*.lock")] == ["next"]
    (folder / f"{OTHER}.lock").write_text('{"host": "elsewhere"}\n')
    remove_stale_locks(instance)
    assert [path.stem for path in folder.glob("*.lock")] == ["next"]
