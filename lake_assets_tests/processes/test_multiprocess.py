"""The multiprocess executor: each step in a process of its own, with its own Spark session and its own lake."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake_assets.lake.contract import MAIN
from lake_assets.lake.embedded import EmbeddedLake
from lake_assets.nosql.lmdb.store import LMDBStore
from lake_assets_tests.processes.conftest import StartJob
from lake_assets_tests.processes.state import check_hour, check_nothing_is_left, check_table, generated, key_of


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_steps_in_processes_of_their_own_publish_the_run_and_fill_the_table(
    start_job: StartJob, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    job = start_job(key_of("08"), home, executor="multiprocess", STOCKS_ROWS="200")
    job.succeed()
    assert "Launching subprocess for" in job.text
    lake, store = EmbeddedLake(home), LMDBStore(home / "nosql")
    check_hour(lake, "08", generated("08", 200))
    assert check_table(lake, store) == lake.head(MAIN).id
    assert lake.branches() == (MAIN,)
    check_nothing_is_left(home)
    lake.close()
    store.close()
