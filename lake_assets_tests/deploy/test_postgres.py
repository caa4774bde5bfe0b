"""Dagster's storage in PostgreSQL, as `deploy/dagster.yaml` sets it up: a run publishes, and all is in the server."""

from __future__ import annotations

import shutil
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from dagster import AssetKey, DagsterInstance, DagsterRunStatus

from lake_assets.lake.contract import MAIN
from lake_assets.lake.embedded import GitLake
from lake_assets_tests.conftest import REPOSITORY_ROOT
from lake_assets_tests.database_servers import start_postgresql
from lake_assets_tests.processes.job_process import JobProcess

pytestmark = [pytest.mark.services, pytest.mark.soak]


def test_a_run_with_its_storage_in_postgres_publishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "dagster"
    home.mkdir()
    shutil.copy(REPOSITORY_ROOT / "deploy" / "dagster.yaml", home)
    with ExitStack() as running:
        server = start_postgresql()
        running.callback(server.stop)
        # Without the driver's name, SQLAlchemy 2.1 takes another than dagster-postgres brings.
        address = server.url.replace("postgresql:", "postgresql+psycopg2:")
        settings = {"DAGSTER_HOME": str(home), "LAKE_HOME": str(tmp_path / "lake"), "DAGSTER_POSTGRES_URL": address}
        job = JobProcess("stocks", "2017-07-28-08:00", tmp_path, settings)
        job.succeed()
        monkeypatch.setenv("DAGSTER_POSTGRES_URL", address)
        with DagsterInstance.from_config(str(home)) as instance:
            assert type(instance.run_storage).__module__.startswith("dagster_postgres")
            run = instance.get_run_by_id(job.run_id)
            assert run is not None
            assert run.status is DagsterRunStatus.SUCCESS
            assert instance.get_latest_materialization_event(AssetKey("stocks_parquet")) is not None
        with closing(GitLake(tmp_path / "lake")) as lake:
            assert job.run_id in lake.head(MAIN).message
    assert not list(home.rglob("*.db"))
