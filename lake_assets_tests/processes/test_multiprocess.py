"""The multiprocess executor: each step in a process of its own, with its own lake."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from dagster import DagsterInstance, JobExecutionResult, ReexecutionOptions, execute_job

from lake_assets import environments
from lake_assets.lake.contract import MAIN
from lake_assets.lake.embedded import GitLake
from lake_assets.nosql.lmdb.store import LMDBStore
from lake_assets.runs.branch import branch_name
from lake_assets.runs.verification import Verification
from lake_assets_tests.defs.environments import use_fresh
from lake_assets_tests.lake.backends import BACKENDS
from lake_assets_tests.processes import lost_branch
from lake_assets_tests.processes.conftest import StartJob
from lake_assets_tests.processes.state import check_hour, check_nothing_is_left, check_table, generated, key_of

pytestmark = pytest.mark.soak


@pytest.mark.timeout(1800)
def test_steps_in_processes_of_their_own_publish_the_run_and_fill_the_table(
    start_job: StartJob, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    job = start_job(key_of("08"), home, executor="multiprocess", STOCKS_ROWS="200")
    job.succeed()
    assert "Launching subprocess for" in job.text
    lake, store = GitLake(home), LMDBStore(home / "nosql")
    check_hour(lake, "08", generated("08", 200))
    assert check_table(lake, store) == lake.head(MAIN).id
    assert lake.branches() == (MAIN,)
    check_nothing_is_left(home)
    lake.close()
    store.close()


def run_job(
    home: Path, instance: DagsterInstance, executor: str = "multiprocess", again: ReexecutionOptions | None = None
) -> JobExecutionResult:
    config = {"execution": {"config": {executor: {}}}}
    with execute_job(lost_branch.reconstructable(home), instance, config, reexecution_options=again) as result:
        return result


def failures(result: JobExecutionResult) -> dict[str, str]:
    """Return the steps that failed, and what each said."""
    failed = [event for event in result.all_events if event.is_step_failure]
    return {str(event.step_key): event.step_failure_data.error_display_string for event in failed}


@pytest.mark.parametrize("what", ["delete", "reset"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_run_whose_branch_is_lost_between_two_steps_fails_and_says_what_is_lost(
    backend: str, what: str, tmp_path: Path, dagster_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fresh(backend, tmp_path, monkeypatch)
    monkeypatch.setenv(lost_branch.WHAT_HAPPENS, what)
    with closing(environments.open_lake()) as lake, DagsterInstance.from_config(str(dagster_home)) as instance:
        before = lake.head(MAIN)
        lost = run_job(tmp_path, instance)
        assert not lost.success
        assert {event.step_key for event in lost.all_events if event.is_step_success} == {"first", "somebody"}
        ((step, told),) = failures(lost).items()
        assert step == "second"
        commit = lost.asset_materializations_for_node("first")[0].metadata["lake/commit"].value
        assert f"materialized first (commit {commit}), which neither its branch {branch_name(lost.run_id)!r}" in told
        assert "Nothing of it is published. Re-execute all steps." in told
        assert lake.head(MAIN) == before
        assert list(Verification(lake, instance, MAIN).problems(lambda _: None)) == []

        monkeypatch.setenv(lost_branch.WHAT_HAPPENS, "nothing")
        skipping = run_job(tmp_path, instance, "in_process", ReexecutionOptions.from_failure(lost.run_id, instance))
        assert not skipping.success
        assert all("Re-execute all steps" in told for told in failures(skipping).values())
        assert lake.head(MAIN) == before

        assert run_job(tmp_path, instance, "in_process", ReexecutionOptions(lost.run_id)).success
        assert {item.path.partition("/")[0] for item in lake.list(MAIN)} == {"first", "second"}
        assert list(Verification(lake, instance, MAIN).problems(lambda _: None)) == []
