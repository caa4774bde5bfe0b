"""Warm workers: what they take, what they leave, and what becomes of a run whose worker dies."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRunStatus
from dagster._core.storage.compute_log_manager import ComputeIOType

from lake_assets._dagster import WorkerStatus
from lake_assets.runs.lock import is_held
from lake_assets.workers import launcher, messages
from lake_assets.workers.assigned import TAG, worker_of
from lake_assets_tests.workers.conftest import Place, until


def written() -> list[str]:
    return Path("quick").read_text().split()


def test_one_process_executes_run_after_run_and_nothing_of_a_run_is_left(place: Place) -> None:
    place.start_workers()
    worker = place.a_worker()
    process = place.process_of(worker)
    first = place.succeed("quick_job")
    assert written() == ["first", str(process.pid), "clean", str(place.folder)]
    place.succeed("leaves_job")
    place.succeed("quick_job")
    assert written() == ["first", str(process.pid), "clean", str(place.folder)]
    assert worker_of(first) == worker
    assert is_held(place.instance, first.run_id) is None
    assert place.fresh == []


def test_only_its_user_reaches_a_worker(place: Place) -> None:
    place.start_workers()
    worker = place.a_worker()
    folder = messages.folder_of(place.instance)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / f"{worker}.sock").stat().st_mode) == 0o600


def test_a_run_gets_a_process_of_its_own_where_no_worker_is_free_or_fits(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = place.launch("quick_job")
    place.start_workers()
    worker = place.a_worker()
    busy = place.launch("waits_job")
    beside = place.launch("quick_job")
    Path("go").write_text("")
    assert place.wait_for(busy).status == DagsterRunStatus.SUCCESS
    place.wait_until_free(worker, busy)
    with monkeypatch.context() as other:
        other.setenv("SPARK_DRIVER_MEMORY", "3g")
        changed = place.launch("quick_job")
    assert place.fresh == [nobody, beside, changed]
    assert [worker_of(place.run(run_id)) for run_id in place.fresh] == [None] * 3
    # The worker is as it was.
    assert worker_of(place.succeed("quick_job")) == worker


def test_code_that_was_changed_on_disk_is_not_run_from_memory(place: Place) -> None:
    place.start_workers()
    worker = place.a_worker()
    place.succeed("quick_job")
    place.code.write_text(place.code.read_text().replace('"first"', '"second"'))
    changed = place.launch("quick_job")
    assert place.fresh == [changed]
    place.a_worker(other_than=worker)
    place.succeed("quick_job")
    assert written()[0] == "second"


@pytest.mark.soak
def test_a_new_file_of_the_package_is_a_change_of_its_code(place: Place) -> None:
    place.start_workers()
    place.a_worker()
    (place.code.parent / "more.py").write_text("")
    changed = place.launch("quick_job")
    assert place.fresh == [changed]


@pytest.mark.soak
def test_a_worker_is_replaced_after_so_many_runs_and_after_one_that_failed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_WORKER_RUNS", "1")
    place.start_workers()
    first = place.a_worker()
    assert worker_of(place.succeed("quick_job")) == first
    second = place.a_worker(other_than=first)
    failed = place.wait_for(place.launch("fails_job"))
    assert (failed.status, worker_of(failed)) == (DagsterRunStatus.FAILURE, second)
    assert place.a_worker(other_than=second) != first


@pytest.mark.soak
def test_the_next_run_waits_for_a_worker_that_tidies_up(place: Place) -> None:
    place.start_workers()
    worker = place.a_worker()
    place.wait_for(place.launch("litters_job"), DagsterRunStatus.SUCCESS)
    assert worker_of(place.succeed("quick_job")) == worker
    assert place.fresh == []


@pytest.mark.soak
def test_a_worker_that_hangs_is_left_alone(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "_TO_TELL", 0.5)
    place.start_workers()
    process = place.process_of(place.a_worker())
    process.suspend()
    run_id = place.launch("quick_job")
    assert place.fresh == [run_id]
    process.resume()
    assert worker_of(place.succeed("quick_job"))


def test_a_killed_worker_has_its_run_failed_and_a_new_one_takes_its_place(place: Place) -> None:
    place.start_workers()
    worker = place.a_worker()
    run_id = place.launch("waits_job")
    until("the run waits", Path("waits").exists)
    assert is_held(place.instance, run_id)
    place.process_of(worker).kill()
    run = place.wait_for(run_id)
    assert run.status == DagsterRunStatus.FAILURE
    assert not is_held(place.instance, run_id)
    place.a_worker(other_than=worker)
    place.succeed("quick_job")


@pytest.mark.soak
def test_workers_whose_parent_was_killed_finish_their_run_and_end(place: Place) -> None:
    place.start_workers()
    process = place.process_of(place.a_worker())
    run_id = place.launch("waits_job")
    until("the run waits", Path("waits").exists)
    place.parent.kill()
    refused = place.launch("quick_job")
    Path("go").write_text("")
    assert place.wait_for(run_id).status == DagsterRunStatus.SUCCESS
    until("the worker has ended", lambda: not process.is_running())
    assert place.workers() == []
    assert place.fresh == [refused]


@pytest.mark.soak
def test_a_run_whose_worker_and_parent_were_killed_ends_by_monitoring_or_the_next_parent(place: Place) -> None:
    place.start_workers()
    worker = place.a_worker()
    run_id = place.launch("waits_job")
    until("the run waits", Path("waits").exists)
    process = place.process_of(worker)
    place.parent.kill()
    process.kill()
    process.wait()
    health = place.instance.run_launcher.check_run_worker_health(place.run(run_id))
    assert health.status == WorkerStatus.NOT_FOUND
    place.start_workers()
    assert place.wait_for(run_id).status == DagsterRunStatus.FAILURE
    place.a_worker(other_than=worker)


def test_a_stopped_run_is_canceled_and_the_next_one_is_not(place: Place) -> None:
    place.start_workers()
    worker = place.a_worker()
    run_id = place.launch("waits_job")
    until("the run waits", Path("waits").exists)
    run_launcher = place.instance.run_launcher
    assert run_launcher.check_run_worker_health(place.run(run_id)).status == WorkerStatus.RUNNING
    assert run_launcher.terminate(run_id)
    assert place.wait_for(run_id).status == DagsterRunStatus.CANCELED
    place.wait_until_free(worker, run_id)
    place.a_worker(other_than=worker)
    # A request that comes late names a run that is over.
    after = place.launch("waits_job")
    folder = messages.folder_of(place.instance)
    name = worker_of(place.run(after))
    assert name
    assert messages.ask(folder, name, {"ask": messages.STOP, "run": run_id}, 5) == {"at": False}
    Path("go").write_text("")
    assert place.wait_for(after).status == DagsterRunStatus.SUCCESS


@pytest.mark.soak
def test_a_run_that_was_canceled_before_its_worker_began_is_not_executed(place: Place) -> None:
    place.start_workers()
    worker = place.a_worker()
    run = place.create("quick_job")
    place.instance.report_run_canceled(run)
    answer = messages.ask(
        messages.folder_of(place.instance), worker, {"ask": messages.RUN, "run": run.run_id, "environment": {}}, 20
    )
    assert not answer["taken"]
    assert not Path("quick").exists()


@pytest.mark.soak
def test_a_re_execution_is_not_of_the_worker_whose_tag_it_inherits(place: Place) -> None:
    place.start_workers()
    place.a_worker()
    first = place.succeed("quick_job")
    place.parent.kill()
    until("no worker is left", lambda: not place.workers())
    again = place.run(place.launch("quick_job", tags={TAG: first.tags[TAG]}))
    assert worker_of(again) is None
    assert place.instance.run_launcher.check_run_worker_health(again).status == WorkerStatus.RUNNING


@pytest.mark.soak
def test_what_a_step_prints_is_in_its_compute_log(place: Place) -> None:
    place.start_workers()
    place.a_worker()
    for _ in range(2):
        run = place.succeed("quick_job")
        assert "quick is first in" in compute_log(place.instance, run.run_id)


def compute_log(instance: DagsterInstance, run_id: str) -> str:
    manager = instance.compute_log_manager
    (key,) = manager.get_log_keys_for_log_key_prefix([run_id, "compute_logs"], io_type=ComputeIOType.STDOUT)
    return (manager.get_log_data(key).stdout or b"").decode()
