"""Real processes of jobs on a home of their own, and a lakeFS server of a test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lake_assets.settings import SparkSettings
from lake_assets.spark.jars import S3A, JarsUnavailable, jars
from lake_assets_tests.graph_fixtures import make_graph
from lake_assets_tests.lakefs_server import CREDENTIALS, LakeFSServer, own_server
from lake_assets_tests.processes.job_process import JobProcess
from lake_assets_tests.processes.warm_job import WarmJob, WarmWorkers

__all__ = ["make_graph"]

_NO_CAPTURE = """\
compute_logs: {module: dagster._core.storage.noop_compute_log_manager, class: NoOpComputeLogManager}
"""

StartJob = Callable[..., JobProcess | WarmJob]


@pytest.fixture
def start_job(tmp_path: Path, dagster_home: Path) -> Iterator[StartJob]:
    """Return a function that starts a job on a home, of a partition or of none; what lives at the end is ended."""
    # Dagster's captured logs come to stderr by a process of their own, which loses the last lines of a step at times.
    with (dagster_home / "dagster.yaml").open("a") as settings:
        settings.write(_NO_CAPTURE)
    started: list[JobProcess] = []

    def start(
        key: str,
        home: Path,
        killed_at: tuple[str, ...] = (),
        executor: str = "in_process",
        job: str = "stocks",
        **environment: str,
    ) -> JobProcess:
        given = settings_of(dagster_home, home, LAKE_EXECUTOR=executor, **environment)
        process = JobProcess(job, key, tmp_path, given, killed_at)
        started.append(process)
        return process

    yield start
    for process in started:
        process.end()


@pytest.fixture(params=["fresh", pytest.param("warm", marks=pytest.mark.soak)])
def start_any_job(
    request: pytest.FixtureRequest, start_job: StartJob, tmp_path: Path, dagster_home: Path
) -> Iterator[StartJob]:
    """Return a function that starts a job in a process of its own, or in a warm worker."""
    if request.param == "fresh":
        yield start_job
        return
    workers = WarmWorkers(tmp_path, dagster_home)

    def start(
        key: str, home: Path, killed_at: tuple[str, ...] = (), job: str = "stocks", **environment: str
    ) -> WarmJob:
        return workers.start(job, key, settings_of(dagster_home, home, **environment), killed_at)

    yield start
    workers.end()


@pytest.fixture
def server() -> Iterator[LakeFSServer]:
    """A lakeFS server of a test's own, which it may stop."""
    try:
        jars(SparkSettings.read().jars.expanduser(), S3A)
    except JarsUnavailable as error:
        pytest.skip(f"wants Spark's S3A connector: {error}")
    server = own_server()
    server.start()
    yield server
    server.stop()


def settings_of(dagster_home: Path, home: Path, **more: str) -> dict[str, str]:
    """Return the settings of a job on a home."""
    return {
        "DAGSTER_HOME": str(dagster_home),
        "LAKE_HOME": str(home),
        "LAKE_EXECUTOR": "in_process",
        "SPARK_MASTER": "local[2]",
        "SPARK_DRIVER_MEMORY": "700m",
        **more,
    }


def services(server: LakeFSServer, **more: str) -> dict[str, str]:
    """Return the settings of the services environment on a lakeFS server."""
    return {
        "LAKE_ENV": "services",
        "LAKE_NOSQL": "lmdb",
        "LAKEFS_ENDPOINT": server.endpoint,
        "LAKEFS_ACCESS_KEY_ID": CREDENTIALS[0],
        "LAKEFS_SECRET_ACCESS_KEY": CREDENTIALS[1],
        "LAKEFS_REPOSITORY": "lake",
        "SPARK_MASTER": "local[1]",
        "STOCKS_ROWS": "200",
        **more,
    }
