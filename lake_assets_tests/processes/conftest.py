"""Real processes of the stocks job on a home of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance

from lake_assets_tests.defs.conftest import make_graph
from lake_assets_tests.processes.job_process import JobProcess

__all__ = ["make_graph"]

StartJob = Callable[..., JobProcess]


@pytest.fixture
def dagster_home(tmp_path: Path) -> Path:
    """Dagster's folder, its databases made: processes that start at once would make them at once."""
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    with DagsterInstance.from_config(str(home)) as instance:
        instance.get_runs()
    return home


@pytest.fixture
def start_job(tmp_path: Path, dagster_home: Path) -> Iterator[StartJob]:
    """Return a function that starts the job for a partition on a home; what still lives at the end is ended."""
    started: list[JobProcess] = []

    def start(
        key: str, home: Path, killed_at: tuple[str, ...] = (), executor: str = "in_process", **settings: str
    ) -> JobProcess:
        environment = {
            "DAGSTER_HOME": str(dagster_home),
            "LAKE_HOME": str(home),
            "LAKE_EXECUTOR": executor,
            "SPARK_MASTER": "local[2]",
            "SPARK_DRIVER_MEMORY": "700m",
            **settings,
        }
        job = JobProcess(key, tmp_path, environment, killed_at)
        started.append(job)
        return job

    yield start
    for job in started:
        job.end()
