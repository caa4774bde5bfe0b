"""Kill -9 at points spread over the whole job: what was published stays whole, and the next run mends."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lake_assets.lake.contract import MAIN
from lake_assets.lake.embedded import GitLake
from lake_assets.nosql.lmdb.store import LMDBStore
from lake_assets_tests.graph_fixtures import Graph
from lake_assets_tests.processes.conftest import StartJob
from lake_assets_tests.processes.job_process import JobProcess
from lake_assets_tests.processes.kill import Kill
from lake_assets_tests.processes.state import (
    check_hour,
    check_no_lock_is_held,
    check_nothing_is_left,
    check_table,
    check_table_is_mains,
    generated,
    key_of,
)
from lake_assets_tests.processes.warm_job import WarmJob

MakeGraph = Callable[..., Graph]


def started_and_killed(kill: Kill, start_any_job: StartJob, key: str, home: Path, rows: int) -> JobProcess | WarmJob:
    """Start the job, and kill it there."""
    job = start_any_job(key, home, kill.deadly, STOCKS_ROWS=str(rows))
    kill.strike(job, home)
    return job


GENERATED = "lake_assets.defs.stocks.generated:GeneratedSource"
REPOSITORY = "lake_assets.lake.embedded.repository:GitLake"
REFS = "lake_assets.lake.embedded.refs:Refs"
OBJECTS = "lake_assets.lake.embedded.objects:Objects"
COMMITS = "lake_assets.lake.embedded.commits:Commits"
PARTS = "lake_assets.compute.parts:Write"
STORE = "lake_assets.nosql.lmdb.store:LMDBStore"
TABLE_WRITE = "lake_assets.nosql.lmdb.table_write:TableWrite"

CRITICAL = Kill("main is moved and the branch not deleted", "alone", (f"{REPOSITORY}.merge", 1, "after"))

SPREAD = [
    Kill("the lake is being made", "alone", ("lake_assets.lake.embedded.creation:_create", 1, "after")),
    Kill("the file is fetched", "alone", (f"{GENERATED}.fetch", 1, "after")),
    Kill("the run's branch is made", "alone", (f"{REFS}.create_branch", 1, "after")),
    Kill("the file is in the lake and not committed", "alone", (f"{OBJECTS}.put_all", 1, "after")),
    Kill("the file is committed", "alone", (f"{REFS}.advance", 1, "after")),
    Kill("the file is loaded", "group", line="parse_stocks - LOADED_INPUT", delay=0.02),
    Kill("the parts are to be written", "group", (f"{PARTS}.run", 1, "before")),
    Kill("a part is opened", "alone", (f"{PARTS}._open", 1, "after")),
    Kill("the parts are written and not committed", "group", (f"{PARTS}.run", 1, "after")),
    Kill("the bars' commit is made and the branch not moved", "alone", (f"{COMMITS}.make", 2, "after")),
    Kill("the bars are stored", "group", line="parse_stocks - HANDLED_OUTPUT .*stocks_parquet", delay=0.02),
    Kill("the quarantine is committed", "alone", (f"{REFS}.advance", 3, "after")),
    Kill("the audit begins", "group", line="stocks_audit - STEP_START", delay=0.15),
    Kill("the audit is half done", "alone", line="stocks_audit - ASSET_CHECK_EVALUATION", delay=0.05),
    Kill("audited and not yet published", "group", line="stocks_audit - STEP_SUCCESS"),
    Kill("audited and not yet published", "alone", line="stocks_audit - STEP_SUCCESS"),
    Kill("before the merge", "alone", (f"{REPOSITORY}.merge", 1, "before")),
    Kill("merging with the lock held and main not moved", "group", (f"{REPOSITORY}._three_way", 1, "after")),
    Kill("main is moved and the branch not deleted", "group", (f"{REPOSITORY}.merge", 1, "after")),
    Kill("the branch is deleted and nothing logged", "alone", (f"{REFS}.delete_branch", 1, "after")),
    Kill("published", "group", line="stocks_published - ASSET_MATERIALIZATION", delay=0.02),
    Kill("the update is planned", "alone", ("lake_assets.defs.stocks.assets:table_update", 1, "after")),
    Kill("items are to be encoded", "group", ("lake_assets.nosql.plan:write_frame", 1, "before")),
    Kill("items are encoded", "alone", ("lake_assets.nosql.plan:write_frame", 1, "after")),
    Kill("within the table's transaction", "alone", (f"{TABLE_WRITE}.put", 1, "after")),
    Kill("within the table's transaction", "group", (f"{TABLE_WRITE}.put", 1, "after")),
    Kill("the table is written and nothing logged", "group", (f"{STORE}.write", 1, "after")),
    Kill("all is done and the run not ended", "alone", line="stocks_table - STEP_SUCCESS"),
]


def check_after_the_kill(home: Path, old: str | None, run_id: str | None) -> None:
    """Check `main`, the table and the locks as the killed process left them."""
    lake = GitLake(home)
    store = LMDBStore(home / "nosql")
    head = lake.head(MAIN)
    if head.id != old and old is not None:
        assert (head.parents[0], head.metadata["run_id"]) == (old, run_id)
    assert list(lake.verify(MAIN)) == []
    assert check_table(lake, store) in {old, head.id}
    check_no_lock_is_held(home)
    lake.close()
    store.close()


def check_all_is_right(home: Path, expected: dict[str, bytes]) -> None:
    """Check that `main` holds these hours and no others, and that the table agrees."""
    lake = GitLake(home)
    store = LMDBStore(home / "nosql")
    for hour, content in expected.items():
        check_hour(lake, hour, content)
    hours = {item.path.split("hour=")[1][:2] for item in lake.list(MAIN, "stocks_csv")}
    assert hours == set(expected)
    assert list(lake.verify(MAIN)) == []
    check_table_is_mains(lake, store)
    check_no_lock_is_held(home)
    lake.close()
    store.close()


def check_once_the_orphans_are_gone(job: JobProcess | WarmJob, home: Path, expected: dict[str, bytes]) -> None:
    """Check all again when all that the job started has ended, and that nothing is left over."""
    job.wait_for_orphans()
    check_all_is_right(home, expected)
    check_nothing_is_left(home)


def published_by(home: Path, run_id: str) -> bool:
    lake = GitLake(home)
    try:
        return lake.head(MAIN).metadata.get("run_id") == run_id
    finally:
        lake.close()


def head_of(home: Path) -> str:
    lake = GitLake(home)
    try:
        return lake.head(MAIN).id
    finally:
        lake.close()


def test_a_job_killed_at_the_critical_point_leaves_all_as_it_was_or_done_and_the_next_run_succeeds(
    make_graph: MakeGraph, start_any_job: StartJob, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    assert make_graph("generated", home, STOCKS_ROWS="200").run(key_of("08")).success
    old = head_of(home)

    # The same hour, whose file has changed: rows are put, replaced and taken back.
    job = started_and_killed(CRITICAL, start_any_job, key_of("08"), home, 150)
    check_after_the_kill(home, old, job.run_id)

    assert make_graph("generated", home, STOCKS_ROWS="150").run(key_of("08")).success
    check_all_is_right(home, {"08": generated("08", 150)})
    check_once_the_orphans_are_gone(job, home, {"08": generated("08", 150)})


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_jobs_killed_at_points_all_over_the_run_never_hurt_what_is_published(
    make_graph: MakeGraph, start_any_job: StartJob, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    expected: dict[str, bytes] = {}
    for number, kill in enumerate(SPREAD):
        began = time.monotonic()
        # Two hours by turns, each time with other rows; the run after the kill is of the same hour or of the other.
        hour, other = ("08", "09") if number % 2 else ("09", "08")
        rows = 200 + number
        fresh = not (home / "lake.git").exists()
        old = None if fresh else head_of(home)
        job = started_and_killed(kill, start_any_job, key_of(hour), home, rows)
        run_id = None if fresh else job.run_id
        check_after_the_kill(home, old, run_id)
        if run_id is not None and published_by(home, run_id):
            expected[hour] = generated(hour, rows)
        recovered = hour if number % 4 < 2 else other
        assert make_graph("generated", home, STOCKS_ROWS=str(rows)).run(key_of(recovered)).success
        expected[recovered] = generated(recovered, rows)
        check_all_is_right(home, expected)
        check_once_the_orphans_are_gone(job, home, expected)
        print(f"{number + 1:2} {kill}: {time.monotonic() - began:.1f} s")
