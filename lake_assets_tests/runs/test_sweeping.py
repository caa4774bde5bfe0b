"""Sweeping the branches of runs that failed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from dagster import DagsterRun, DagsterRunStatus

from lake_assets.lake.contract import MAIN, Lake
from lake_assets.lake.errors import RefNotFound
from lake_assets.runs.lock import acquire_run_lock
from lake_assets.runs.sweeping import Branch, branches_left, sweep
from lake_assets.sensors import collect_garbage, sweep_branches
from lake_assets_tests.small_graph import SmallGraph

NOW, WEEK = timedelta(0), timedelta(days=7)

Add = Callable[..., str]


@pytest.fixture
def add(small: SmallGraph, lake: Lake) -> Add:
    """Make a run and its branch; returns the branch."""

    def make(number: int, status: DagsterRunStatus | None, parent: int | None = None) -> str:
        run_id, parent_id = (f"aaaa0000-0000-4000-8000-{part:012}" if part else None for part in (number, parent))
        assert run_id is not None
        if status is not None:
            run = DagsterRun("stocks", run_id, status=status, parent_run_id=parent_id, root_run_id=parent_id)
            small.instance.add_run(run)
        lake.create_branch(f"run-{run_id}", MAIN)
        return f"run-{run_id}"

    return make


def swept(small: SmallGraph, lake: Lake, limit: timedelta = NOW) -> dict[str, Branch]:
    return {branch.name: branch for branch in sweep(lake, small.instance, limit)}


def test_branches_of_failed_and_cancelled_runs_past_the_age_limit_are_removed(
    small: SmallGraph, lake: Lake, add: Add
) -> None:
    failed, cancelled = add(1, DagsterRunStatus.FAILURE), add(2, DagsterRunStatus.CANCELED)
    young = swept(small, lake, WEEK)
    assert not any(branch.remove for branch in young.values())
    assert all("not past the age limit" in branch.reason for branch in young.values())
    old = swept(small, lake)
    assert {name for name, branch in old.items() if branch.remove} == {failed, cancelled}
    assert "FAILURE" in old[failed].reason
    assert lake.branches() == (MAIN,)


def test_the_branch_of_a_run_that_goes_on_and_what_it_was_re_executed_from_stay(
    small: SmallGraph, lake: Lake, add: Add
) -> None:
    parent, child = add(1, DagsterRunStatus.FAILURE), add(2, DagsterRunStatus.STARTED, parent=1)
    new = add(3, DagsterRunStatus.NOT_STARTED)
    found = swept(small, lake)
    assert not any(branch.remove for branch in found.values())
    assert "is not finished: it is STARTED" in found[child].reason
    assert "re-executed from it" in found[parent].reason
    assert "NOT_STARTED" in found[new].reason
    assert len(lake.branches()) == 4


def test_a_run_whose_process_lives_stays_and_one_whose_process_was_killed_is_swept(
    small: SmallGraph, lake: Lake, add: Add
) -> None:
    alive, dead = add(1, DagsterRunStatus.STARTED), add(2, DagsterRunStatus.STARTED)
    acquire_run_lock(small.instance, alive.removeprefix("run-"))
    folder = Path(small.instance.root_directory, "run_locks")
    # What a killed process leaves: its file, and no lock (test_run_lock.py kills real ones).
    (lock,) = folder.glob("*.lock")
    lock.with_name(f"{dead.removeprefix('run-')}.lock").write_text(lock.read_text())
    found = swept(small, lake)
    assert {name for name, branch in found.items() if branch.remove} == {dead}
    assert "its process was killed" in found[dead].reason
    assert lake.branches() == (MAIN, alive)


def test_branches_that_wait_for_a_decision_or_are_others_stay(small: SmallGraph, lake: Lake, add: Add) -> None:
    waiting, unknown = add(1, DagsterRunStatus.SUCCESS), add(2, None)
    lake.create_branch("trial", MAIN)
    lake.create_branch("run-of-mine", MAIN)
    found = swept(small, lake)
    assert not any(branch.remove for branch in found.values())
    assert "lake-assets publish" in found[waiting].reason
    assert "Dagster does not know its run" in found[unknown].reason
    assert set(found) == {waiting, unknown}


def test_what_a_killed_rollback_left_is_swept_and_one_that_goes_on_stays(small: SmallGraph, lake: Lake) -> None:
    for name in ("rollback-dead", "rollback-live"):
        lake.create_branch(name, MAIN)
        with lake.write(name, "notes", metadata={"rollback_to": "x"}) as write:
            Path(write.root, "a.txt").write_text(name)
    lake.create_branch("rollback-elsewhere", MAIN)
    acquire_run_lock(small.instance, "rollback-live")
    found = swept(small, lake)
    assert {name for name, branch in found.items() if branch.remove} == {"rollback-dead"}
    assert lake.branches() == (MAIN, "rollback-elsewhere", "rollback-live")


def test_looking_removes_nothing_and_the_sensor_says_what_it_removed(small: SmallGraph, lake: Lake, add: Add) -> None:
    failed = add(1, DagsterRunStatus.FAILURE)
    assert [branch.remove for branch in branches_left(lake, small.instance, NOW)] == [True]
    assert small.tick("sweep_branches", None).skip_message == "Removed no branch; kept 1."
    assert small.tick(sweep_branches(NOW), None).skip_message == f"Removed {failed}; kept 0."


def test_garbage_is_collected_by_a_sensor_once_its_time_is_over(small: SmallGraph, lake: Lake, add: Add) -> None:
    with lake.write(add(1, DagsterRunStatus.FAILURE), "notes") as write:
        Path(write.root, "a.txt").write_text("never published")
    head = write.commit
    assert head is not None
    swept(small, lake)
    assert (small.tick("collect_garbage", None).skip_message or "").startswith("Freed")
    assert lake.head(head.id) == head
    assert (small.tick(collect_garbage(NOW), None).skip_message or "").startswith("Freed")
    with pytest.raises(RefNotFound):
        lake.head(head.id)
