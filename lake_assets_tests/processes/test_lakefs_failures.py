"""Runs on a real lakeFS server that goes away, and runs that are killed: long, and so in `make soak`."""

from __future__ import annotations

import random
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from dagster import DagsterInstance

from lake_assets.lake.contract import MAIN
from lake_assets.lake.lakefs import LakeFSLake
from lake_assets.runs.sweeping import sweep
from lake_assets_tests.lakefs_server import CREDENTIALS, LakeFSServer
from lake_assets_tests.processes.conftest import StartJob, services
from lake_assets_tests.processes.state import key_of

pytestmark = [pytest.mark.services, pytest.mark.soak, pytest.mark.timeout(3000)]


def test_a_server_that_is_back_after_twenty_seconds_is_waited_for(
    server: LakeFSServer, start_job: StartJob, tmp_path: Path
) -> None:
    job = start_job(key_of("08"), tmp_path / "home", **services(server))
    job.wait_for_line("Fetched generated")
    server.stop()
    back = threading.Timer(20, server.start)
    back.start()
    job.succeed()
    back.join()
    lake = LakeFSLake(server.endpoint, *CREDENTIALS, "lake")
    assert [commit.metadata["run_id"] for commit in lake.log(MAIN, 1)] == [job.run_id]


def test_a_server_that_is_gone_for_good_is_named_within_the_deadline(
    server: LakeFSServer, start_job: StartJob, tmp_path: Path
) -> None:
    job = start_job(key_of("08"), tmp_path / "home", **services(server, LAKEFS_DEADLINE="10"))
    job.wait_for_line("Fetched generated")
    server.stop()
    assert job.wait() != 0
    assert "gave up after 10 s: check that the server at this address runs" in job.text
    assert server.endpoint in job.text
    assert CREDENTIALS[1] not in job.text


def test_of_sixteen_runs_half_of_them_killed_main_has_exactly_those_that_landed(
    server: LakeFSServer, start_job: StartJob, tmp_path: Path, dagster_home: Path
) -> None:
    draw = random.Random(16)
    hours = [f"{hour:02}" for hour in range(16)]
    doomed = {hour: draw.uniform(5, 120) for hour in draw.sample(hours, 8)}
    jobs = {hour: start_job(key_of(hour), tmp_path / "home", **services(server)) for hour in hours}
    killers = [threading.Timer(after, jobs[hour].kill, kwargs={"group": True}) for hour, after in doomed.items()]
    for killer in killers:
        killer.start()
    ended = {hour: job.wait() for hour, job in jobs.items()}
    for killer in killers:
        killer.cancel()
    lake = LakeFSLake(server.endpoint, *CREDENTIALS, "lake")
    landed = {commit.metadata["run_id"] for commit in lake.log(MAIN) if len(commit.parents) > 1}
    survivors = {job.run_id for hour, job in jobs.items() if hour not in doomed}
    assert [hour for hour in hours if hour not in doomed and ended[hour] != 0] == []
    assert survivors <= landed
    assert list(lake.verify(MAIN)) == []
    held = {item.path.split("/")[2] for item in lake.list(MAIN, "stocks_csv")}
    assert len(held) == len(landed)
    with DagsterInstance.from_config(str(dagster_home)) as instance:
        sweep(lake, instance, timedelta(0))
    assert lake.branches() == (MAIN,)
    assert lake.private_branches() == {}
