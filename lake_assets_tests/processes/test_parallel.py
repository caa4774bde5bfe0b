"""Runs in parallel processes: on different partitions all are published, on one partition nothing is lost or mixed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from lake_assets.lake.contract import MAIN
from lake_assets.lake.embedded import GitLake
from lake_assets.nosql.lmdb.store import LMDBStore
from lake_assets_tests.processes.conftest import StartJob
from lake_assets_tests.processes.job_process import PATIENCE
from lake_assets_tests.processes.state import (
    DAY,
    check_hour,
    check_no_lock_is_held,
    check_nothing_is_left,
    check_table_is_mains,
    generated,
    key_of,
)
from lake_assets_tests.sources.servers import Fault, FaultyServer, Handler, running


def check_table_is_that_of_main(home: Path, hours: dict[str, bytes]) -> None:
    lake = GitLake(home)
    store = LMDBStore(home / "nosql")
    for hour, content in hours.items():
        check_hour(lake, hour, content)
    assert list(lake.verify(MAIN)) == []
    check_table_is_mains(lake, store)
    check_no_lock_is_held(home)
    check_nothing_is_left(home)
    lake.close()
    store.close()


@pytest.mark.soak
@pytest.mark.timeout(2400)
def test_eight_runs_at_once_on_different_hours_are_all_published_and_in_the_table(
    start_job: StartJob, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    hours = [f"{8 + number:02}" for number in range(8)]
    jobs = [start_job(key_of(hour), home, STOCKS_ROWS="200", SPARK_MASTER="local[1]") for hour in hours]
    for job in jobs:
        job.succeed()
    check_table_is_that_of_main(home, {hour: generated(hour, 200) for hour in hours})
    lake = GitLake(home)
    assert lake.branches() == (MAIN,)
    published = [commit.metadata["run_id"] for commit in lake.log(MAIN) if len(commit.parents) > 1]
    assert sorted(published) == sorted(job.run_id for job in jobs)


def once_all_are_here(everybody: threading.Barrier, body: bytes) -> Fault:
    """Answer only when all requests have come: so no run has begun its branch before another has its file."""

    def fault(handler: Handler, _: bytes) -> None:
        everybody.wait(PATIENCE)
        handler.answer(200, body)

    return fault


def serve_at_once(server: FaultyServer, *bodies: bytes) -> None:
    everybody = threading.Barrier(len(bodies))
    server.faults.extend(once_all_are_here(everybody, body) for body in bodies)


@pytest.mark.soak
@pytest.mark.parametrize("rows", [(200, 150), (200, 200)], ids=["other-files", "equal-files"])
def test_two_runs_at_once_on_one_hour_end_in_order_or_with_one_clear_conflict(
    rows: tuple[int, int], start_job: StartJob, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    # Equal files may conflict, too: Spark's Parquet footers differ from one JVM to the next.
    files = [generated("08", count) + b"bad row of %d\n" % count for count in rows]
    with running(Handler) as server:
        serve_at_once(server, *files)
        jobs = [start_job(key_of("08"), home, STOCKS_SOURCE=server.address, SPARK_MASTER="local[1]") for _ in files]
        codes = [job.wait() for job in jobs]
    lake = GitLake(home)
    winner = lake.head(MAIN).metadata["run_id"]
    assert winner in [job.run_id for job, code in zip(jobs, codes, strict=True) if code == 0]
    for job, code in zip(jobs, codes, strict=True):
        if code:
            assert f"Run {job.run_id} cannot be published: since it began, main got other versions of" in job.text
            assert f"(by run {winner}" in job.text
            assert "Re-execute all steps" in job.text
            assert lake.branches() == (MAIN, f"run-{job.run_id}")
    snapshot = lake.path(MAIN, f"stocks_csv/day={DAY}/hour=08")
    (published,) = (path.read_bytes() for path in Path(snapshot.root).glob("*.csv"))
    assert published in files
    check_table_is_that_of_main(home, {"08": published})
    assert [code for code in codes if code] in ([], [1])
