"""Warm workers beside Dagster's real web server and daemon: runs are launched, queued and stopped in the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from dagster import DagsterInstance, DagsterRun

from lake_assets.workers.assigned import worker_of
from lake_assets_tests.ui import queries
from lake_assets_tests.ui.files import add_day
from lake_assets_tests.ui.server import DagsterServer, running, until
from lake_assets_tests.ui.words import counts

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

DAY = "2017-07-03"


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterServer]:
    """Dagster with one warm worker."""
    folder: Path = tmp_path_factory.mktemp("warm")
    (folder / "source").mkdir()
    with running(folder, folder / "source", 1) as server:
        yield server


@pytest.fixture
def worker(warm: DagsterServer) -> str:
    """The name of the worker, once it is warm."""
    return until("a worker", lambda: next(iter(warm.workers()), None), 600)


def record(server: DagsterServer, run_id: str) -> DagsterRun:
    with DagsterInstance.from_config(str(server.home)) as instance:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        return run


def times(server: DagsterServer, run_id: str) -> tuple[float, float]:
    """Return when a run started and ended."""
    with DagsterInstance.from_config(str(server.home)) as instance:
        found = instance.get_run_record_by_id(run_id)
        assert found is not None
        assert found.start_time
        assert found.end_time
        return found.start_time, found.end_time


def process_of(worker: str) -> psutil.Process:
    return next(process for process in psutil.process_iter(["cmdline"]) if worker in (process.info["cmdline"] or ()))


def replaced(server: DagsterServer, worker: str) -> str:
    return until("another worker", lambda: next((name for name in server.workers() if name != worker), None), 600)


def test_two_runs_of_a_pool_go_one_after_the_other_through_the_worker(warm: DagsterServer, worker: str) -> None:
    (warm.lines / "1.txt").write_text("dog cat\n")
    first, second = (warm.launch("", job="words") for _ in range(2))
    assert [warm.finished(run) for run in (first, second)] == ["SUCCESS", "SUCCESS"]
    # Either may be the first that begins.
    earlier, later = sorted((first, second), key=lambda run: times(warm, run))
    assert worker_of(record(warm, earlier)) == worker
    (_, end), (begin, _) = times(warm, earlier), times(warm, later)
    assert begin >= end
    with warm.lake() as lake:
        assert counts(lake) == {"dog": 1, "cat": 1}


def test_a_run_launched_in_the_page_is_executed_by_the_worker_and_published(warm: DagsterServer, worker: str) -> None:
    add_day(warm.source, DAY, ["08"])
    run = warm.launch(f"{DAY}-08:00")
    assert warm.finished(run) == "SUCCESS"
    assert worker_of(record(warm, run)) == worker
    assert warm.table()


def test_a_run_that_is_stopped_in_the_page_is_canceled_and_the_worker_replaced(
    warm: DagsterServer, worker: str
) -> None:
    (warm.lines / "2.txt").write_text("".join("dog cat\n" for _ in range(1_000_000)))
    run = warm.launch("", job="words")
    until("it goes on", lambda: warm.status(run) == "STARTED", every=0.05)
    warm.query(queries.TERMINATE, id=run)
    assert warm.finished(run) == "CANCELED"
    assert worker_of(record(warm, run)) == worker
    replaced(warm, worker)
    with warm.lake() as lake:
        assert counts(lake) == {"dog": 1, "cat": 1}


def test_a_run_whose_worker_is_killed_fails_and_the_next_one_counts_everything(
    warm: DagsterServer, worker: str
) -> None:
    run = warm.launch("", job="words")
    until("it goes on", lambda: warm.status(run) == "STARTED", every=0.05)
    process_of(worker).kill()
    assert warm.finished(run) == "FAILURE"
    replaced(warm, worker)
    again = warm.launch("", job="words")
    assert warm.finished(again) == "SUCCESS"
    with warm.lake() as lake:
        assert counts(lake) == {"dog": 1_000_001, "cat": 1_000_001}
