"""`sweep`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dagster import DagsterRunStatus

from lake_assets.lake.embedded import GitLake
from lake_assets_tests.cli.conftest import Command

FAILED = "eeee0000-0000-4000-8000-000000000001"
UNKNOWN = "aaaa0000-0000-4000-8000-000000000004"
OTHER = "eeff0000-0000-4000-8000-000000000003"
GOING_ON = "ffff0000-0000-4000-8000-000000000002"


def test_it_removes_what_failed_runs_left_and_says_what_it_keeps(
    command: Command, answer: Callable[..., Any], lake: GitLake, add_run: Callable[..., str]
) -> None:
    add_run(FAILED, DagsterRunStatus.FAILURE)
    add_run(GOING_ON, DagsterRunStatus.STARTED)
    young = command("sweep").stdout
    assert young.startswith("Nothing to remove.\nKept:\n")
    assert "not past the age limit" in young
    shown = answer("sweep", "--older-than", "0", "--dry-run")
    assert (shown["removed"], [branch["name"] for branch in shown["found"]]) == (False, [f"run-{FAILED}"])
    head = lake.head(f"run-{FAILED}").id
    done = command("sweep", "--older-than", "0").stdout
    assert done.startswith("Removed:\n")
    assert f"run-{FAILED}  its run is FAILURE" in done
    assert "its run is not finished" in done.partition("Kept:")[2]
    assert lake.branches() == ("main", f"run-{GOING_ON}")
    assert lake.head(head).id == head


def test_the_branch_of_one_failed_run_is_removed_and_no_other(
    command: Command, lake: GitLake, add_run: Callable[..., str], refused: Callable[..., str]
) -> None:
    add_run(FAILED, DagsterRunStatus.FAILURE)
    add_run(OTHER, DagsterRunStatus.FAILURE)
    add_run(GOING_ON, DagsterRunStatus.STARTED)
    assert "no branch" in refused("sweep", "abcd")
    kept = command("sweep", GOING_ON[:8])
    assert kept.stdout.startswith("Nothing to remove.\nKept:\n")
    assert kept.exit_code == 1
    for empty in ("", "run-"):
        assert "is empty" in refused("sweep", empty)
    lake.create_branch(f"run-{UNKNOWN}", "main")
    assert command("sweep", UNKNOWN[:4], "--unknown-runs").exit_code == 1
    lake.delete_branch(f"run-{UNKNOWN}")
    assert command("sweep", FAILED[:4]).stdout.startswith("Removed:\n")
    assert lake.branches() == ("main", f"run-{OTHER}", f"run-{GOING_ON}")
