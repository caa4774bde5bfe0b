"""A branch to work on: runs begin at it and publish to it, and its data reach `main` by an audited merge."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pygit2
import pytest
from dagster import DagsterRun, Failure

from lake_assets import environments
from lake_assets.lake.audit import Override, read_record
from lake_assets.lake.contract import MAIN, Lake
from lake_assets.lake.embedded import GitLake
from lake_assets.lake.embedded.backup import restore
from lake_assets.lake.errors import Expired, ProtectedBranch, Unaudited
from lake_assets.resources.working_branch import record_target, target_of
from lake_assets.runs.branch import ensure_run_branch, refuse_target
from lake_assets.runs.commit_metadata import CommitMetadata
from lake_assets.runs.deleting import delete, plan_deletion
from lake_assets.runs.event_log import EventLog
from lake_assets.runs.merging import merge_branch, merge_events
from lake_assets.runs.rollback import plan_rollback, roll_back, rollback_events
from lake_assets.runs.sweeping import sweep
from lake_assets.runs.verification import Verification
from lake_assets.runs.working_branches import create_working_branch, refuse_deletion
from lake_assets_tests.lake.backends import BACKENDS, paths, put, read
from lake_assets_tests.small_graph import SmallGraph, days_of

both_lakes = pytest.mark.parametrize("small", BACKENDS, indirect=True)

DEV = "dev-ana"
ON_DEV = {"lake/branch": DEV}


@pytest.fixture
def dev(lake: Lake, small: SmallGraph) -> str:
    """A working branch that begins where `main` holds one day."""
    small.publish("mon", 1.0, 2.0)
    lake.create_branch(DEV, MAIN, protected=True)
    return DEV


def graph_of(small: SmallGraph):
    return small.defs.resolve_asset_graph()


@both_lakes
def test_a_run_begins_at_the_branch_that_its_tag_names_and_publishes_to_it(
    lake: Lake, small: SmallGraph, dev: str
) -> None:
    main = lake.head(MAIN)
    assert small.publish("tue", 3.0, tags=ON_DEV).success
    assert lake.head(MAIN) == main
    assert days_of(lake, dev) == ["mon", "tue"]
    head = lake.head(dev)
    assert head.parents[0] == main.id
    assert read_record(head.metadata) is not None
    assert CommitMetadata.parse(head.metadata).branch == dev
    assert lake.branches() == (DEV, MAIN)
    # Two runs see each other's data, and no run of `main` does.
    assert small.publish("wed", 4.0, tags=ON_DEV).success
    assert days_of(lake, dev) == ["mon", "tue", "wed"]
    assert days_of(lake, MAIN) == ["mon"]


@pytest.mark.parametrize("how", ["setting", "configuration"])
def test_a_setting_or_the_run_configuration_names_the_branch_too(
    lake: Lake, small: SmallGraph, dev: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"resources": {"snapshot": {"config": {"branch": dev}}}}
    if how == "setting":
        monkeypatch.setenv("LAKE_BRANCH", dev)
        small = SmallGraph(small.source, small.instance)
        result = small.publish("tue", 3.0)
    else:
        result = small.publish("tue", 3.0, run_config=config)
    assert result.success
    assert (days_of(lake, dev), days_of(lake, MAIN)) == (["mon", "tue"], ["mon"])
    # It is the run's own from now on, whatever is set where it is published.
    stored = small.instance.get_run_by_id(result.run_id)
    assert isinstance(stored, DagsterRun)
    assert stored.tags["lake/branch"] == dev


@both_lakes
def test_what_was_audited_on_the_branch_is_merged_into_main(lake: Lake, small: SmallGraph, dev: str) -> None:
    small.publish("tue", 3.0, tags=ON_DEV)
    before = lake.head(MAIN)
    result = merge_branch(lake, small.instance, graph_of(small), dev)
    assert result.merged
    assert days_of(lake, MAIN) == ["mon", "tue"]
    assert lake.head(MAIN).parents == (before.id, lake.head(dev).id)
    assert not lake.diff(MAIN, dev)
    again = merge_branch(lake, small.instance, graph_of(small), dev)
    assert (again.merged, again.commit) == (False, lake.head(MAIN))


@both_lakes
def test_a_conflict_names_paths_runs_and_commits_of_both(lake: Lake, small: SmallGraph, dev: str) -> None:
    here = small.publish("mon", 5.0, tags=ON_DEV)
    there = small.publish("mon", 6.0)
    heads = lake.head(MAIN), lake.head(dev)
    with pytest.raises(Failure) as refused:
        merge_branch(lake, small.instance, graph_of(small), dev)
    text = str(refused.value.description)
    assert "prices/partition=mon/" in text
    assert here.run_id in text
    assert there.run_id in text
    assert (lake.head(MAIN), lake.head(dev)) == heads


def test_nothing_but_an_audited_merge_moves_it(lake: Lake, dev: str) -> None:
    head = lake.head(dev)
    with pytest.raises(ProtectedBranch):
        put(lake, dev, "prices", {"a": "1"})
    with pytest.raises(ProtectedBranch):
        lake.revert(MAIN, dev)
    lake.create_branch("trial", dev)
    put(lake, "trial", "prices/partition=tue", {"a": "1"})
    with pytest.raises(Unaudited):
        lake.merge("trial", dev)
    assert lake.head(dev) == head
    lake.merge("trial", dev, audit=Override("ann", "by hand"))
    assert lake.head(dev).parents[0] == head.id


@pytest.mark.parametrize("name", ["nowhere", "run-1", "trial"])
def test_a_run_of_no_working_branch_is_refused_and_told_how_to_make_one(
    lake: Lake, small: SmallGraph, dev: str, name: str
) -> None:
    lake.create_branch("trial", MAIN)
    result = small.publish("tue", 3.0, tags={"lake/branch": name}, raise_on_error=False)
    assert not result.success
    (failed,) = result.get_step_failure_events()
    assert f"`lake-assets branch create {name}` makes it" in failed.step_failure_data.error_display_string
    assert lake.branches() == (DEV, MAIN, "trial")
    assert days_of(lake, MAIN) == ["mon"]


def table(small: SmallGraph, name: str) -> list[str] | None:
    """Return the keys of a table; None if there is none."""
    with closing(environments.open_nosql()) as store:
        if name not in store.tables():
            return None
        return sorted(row["isin"] for batch in store.scan(name) for row in batch.to_pylist())


def test_its_tables_are_its_own(lake: Lake, small: SmallGraph, dev: str) -> None:
    small.run("prices_table", partition_key="mon")
    assert table(small, "prices_table") == ["DE0", "DE1"]
    small.write_source("tue", 1.0, 2.0, 3.0)
    sink = small.run("raw", "prices", "prices_published", "prices_table", partition_key="tue", tags=ON_DEV)
    assert sink.success
    assert table(small, "prices_table") == ["DE0", "DE1"]
    assert table(small, f"prices_table--{dev}") == ["DE0", "DE1", "DE2"]
    (event,) = sink.asset_materializations_for_node("prices_table")
    assert event.metadata["lake/commit"].value == lake.head(dev).id
    # A step whose resources are initialized anew, as in another process, writes the same table.
    assert small.run("prices_table", partition_key="mon", tags=ON_DEV).success
    assert table(small, "prices_table") == ["DE0", "DE1"]


def test_a_branch_may_have_no_tables_at_all(
    lake: Lake, small: SmallGraph, dev: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.run("prices_table", partition_key="mon")
    monkeypatch.setenv("LAKE_BRANCH_SINKS", "false")
    small = SmallGraph(small.source, small.instance)
    small.write_source("tue", 1.0, 2.0, 3.0)
    sink = small.run("raw", "prices", "prices_published", "prices_table", partition_key="tue", tags=ON_DEV)
    assert sink.success
    with closing(environments.open_nosql()) as store:
        assert store.tables() == ("prices_table",)
    (event,) = sink.asset_materializations_for_node("prices_table")
    assert event.metadata["note"].value == f"not written: sinks of {dev} are off"
    # Those of `main` are written as ever.
    small.publish("tue", 1.0, 2.0, 3.0)
    assert small.run("prices_table", partition_key="tue").success
    assert table(small, "prices_table") == ["DE0", "DE1", "DE2"]


def test_sensors_follow_the_branch_of_their_code_location(
    lake: Lake, small: SmallGraph, dev: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.run("prices_table", partition_key="mon")
    small.publish("tue", 3.0, tags=ON_DEV)
    of_main = small.tick("sinks_follow_main", None)
    assert not of_main.run_requests
    assert (of_main.cursor or "").startswith(lake.head(MAIN).id)
    monkeypatch.setenv("LAKE_BRANCH", dev)
    of_dev = SmallGraph(small.source, small.instance)
    of_dev.run("prices_table", partition_key="mon")
    small.publish("wed", 3.0, 4.0, 5.0, tags=ON_DEV)
    tick = of_dev.tick("sinks_follow_main", None)
    assert [request.partition_key for request in tick.run_requests or ()] == ["wed"]
    assert (tick.cursor or "").split(" ")[0] == lake.head(dev).id
    seen = of_dev.tick("lake_commits", None)
    assert dev in (seen.skip_message or "")
    assert (seen.cursor or "").startswith(lake.head(dev).id)


@both_lakes
def test_it_is_rolled_back_and_its_data_deleted_as_on_main(lake: Lake, small: SmallGraph, dev: str) -> None:
    main, began = lake.head(MAIN), lake.head(dev)
    small.publish("tue", 3.0, tags=ON_DEV)
    graph = graph_of(small)
    with pytest.raises(Failure, match=f"{MAIN} can only go back"):
        plan_rollback(lake, lake.head(dev).id)
    merge = roll_back(lake, small.instance, graph, plan_rollback(lake, began.id, branch=dev), "a test")
    events = rollback_events(lake, EventLog(small.instance), graph, merge)
    assert {str(event.metadata["lake/branch"].value) for event in events} == {dev}
    for event in events:
        small.instance.report_runless_asset_event(event)
    assert days_of(lake, dev) == ["mon"]
    delete(lake, small.instance, graph, plan_deletion(lake, "prices/partition=mon", dev), by="ann", reason="a test")
    assert days_of(lake, dev) == []
    assert lake.head(MAIN) == main
    # What was deleted there goes from `main`, since `prices` has no checks to be overridden.
    merge_branch(lake, small.instance, graph, dev)
    assert days_of(lake, MAIN) == []


def problems(lake: Lake, small: SmallGraph, ref: str) -> list[str]:
    found = Verification(lake, small.instance, ref).problems(lambda _: None)
    return [f"{problem.path}: {problem.reason}" for problem in found]


def test_verify_looks_at_it_as_at_main(lake: Lake, small: SmallGraph, dev: str) -> None:
    small.publish("tue", 3.0, tags=ON_DEV)
    assert problems(lake, small, MAIN) == problems(lake, small, dev) == []
    lake.create_branch("trial", dev)
    put(lake, "trial", "notes", {"a": "1"})
    # Plain Git, past the rule.
    git = pygit2.Repository(f"{lake.repository}/lake.git")
    git.references[f"refs/heads/{dev}"].set_target(git.references["refs/heads/trial"].target)
    assert any(
        f"reached {dev} without an audit; it changed notes/a" in problem for problem in problems(lake, small, dev)
    )
    assert problems(lake, small, MAIN) == []


def test_what_was_published_on_a_deleted_branch_is_not_lost_but_gone(lake: Lake, small: SmallGraph, dev: str) -> None:
    small.publish("tue", 3.0, tags=ON_DEV)
    refuse_deletion(lake, small.instance, dev)
    lake.delete_branch(dev)
    assert problems(lake, small, MAIN) == []
    # A run that waits for it says what is missing.
    result = small.run("prices_published", partition_key="mon", tags=ON_DEV, raise_on_error=False)
    assert not result.success
    assert lake.branches() == (MAIN,)


def test_it_is_never_swept(lake: Lake, small: SmallGraph, dev: str) -> None:
    sweep(lake, small.instance, timedelta(0))
    assert lake.protected_branches() == (dev, MAIN)


def test_housekeeping_keeps_what_it_holds_and_a_backup_has_it(
    lake: Lake, small: SmallGraph, dev: str, tmp_path: Path
) -> None:
    small.publish("tue", 3.0, tags=ON_DEV)
    small.publish("tue", 4.0, tags=ON_DEV)
    small.publish("mon", 9.0)
    old, held = lake.head(dev).parents[0], dict.fromkeys(paths(lake, dev))
    sweep(lake, small.instance, timedelta(0), unknown=True)
    lake.clean()
    lake.expire(datetime.now(timezone.utc) + timedelta(minutes=1), yes=True)
    lake.collect_garbage(timedelta(0))
    assert list(lake.verify(dev)) == []
    with pytest.raises(Expired):
        read(lake, old, "prices/partition=tue")
    lake.backup(tmp_path / "copy")
    restore(tmp_path / "copy", tmp_path / "new")
    with closing(GitLake(tmp_path / "new")) as restored:
        assert restored.protected_branches() == (dev, MAIN)
        assert dict.fromkeys(paths(restored, dev)) == held
        assert list(restored.verify(dev)) == []
        with pytest.raises(ProtectedBranch):
            put(restored, dev, "stray", {"a": "1"})
    # It goes with everything that it alone held, once it is deleted.
    lake.delete_branch(dev)
    lake.collect_garbage(timedelta(0))
    lake.backup(tmp_path / "copy")
    with closing(GitLake(tmp_path / "copy")) as copied:
        assert copied.protected_branches() == (MAIN,)


@both_lakes
def test_main_and_other_branches_are_merged_into_it(lake: Lake, small: SmallGraph, dev: str) -> None:
    graph = graph_of(small)
    create_working_branch(lake, "dev-ben", dev)
    small.publish("tue", 3.0)
    small.publish("wed", 4.0, tags={"lake/branch": "dev-ben"})
    assert merge_branch(lake, small.instance, graph, MAIN, dev).merged
    assert days_of(lake, dev) == ["mon", "tue"]
    assert merge_branch(lake, small.instance, graph, "dev-ben", dev).merged
    assert days_of(lake, dev) == ["mon", "tue", "wed"]
    assert days_of(lake, "dev-ben") == ["mon", "wed"]
    assert merge_branch(lake, small.instance, graph, dev).merged
    assert days_of(lake, MAIN) == ["mon", "tue", "wed"]
    for branch in lake.protected_branches():
        assert problems(lake, small, branch) == []


@both_lakes
def test_a_branch_that_has_only_taken_over_main_has_nothing_to_merge(lake: Lake, small: SmallGraph, dev: str) -> None:
    graph = graph_of(small)
    small.publish("tue", 3.0)
    assert merge_branch(lake, small.instance, graph, MAIN, dev).merged
    head = lake.head(MAIN)
    back = merge_branch(lake, small.instance, graph, dev)
    assert (back.merged, back.commit) == (False, head)
    assert lake.head(MAIN) == head
    # Nor the other way.
    assert not merge_branch(lake, small.instance, graph, MAIN, dev).merged
    small.publish("wed", 4.0, tags=ON_DEV)
    assert merge_branch(lake, small.instance, graph, dev).merged


@pytest.mark.parametrize("name", [" dev-ana", "dev-ana ", "dev_ana", "Dev-ana"])
def test_a_name_that_is_nearly_right_gets_a_hint(lake: Lake, dev: str, name: str) -> None:
    with pytest.raises(Failure, match=r"did you mean dev-ana\?"):
        refuse_target(lake, name, "no")


def test_a_merge_is_reported_to_dagster_once(lake: Lake, small: SmallGraph, dev: str) -> None:
    seen = small.tick("lake_commits", None).cursor
    small.publish("tue", 3.0, tags=ON_DEV)
    graph = graph_of(small)
    merge = merge_branch(lake, small.instance, graph, dev).commit
    events = merge_events(lake, EventLog(small.instance), graph, merge)
    assert {(event.asset_key.to_user_string(), event.partition) for event in events} == {
        ("raw", "tue"),
        ("prices", "tue"),
        ("prices_published", "tue"),
    }
    for event in events:
        small.instance.report_runless_asset_event(event)
    # The sensor reports what a killed command did not.
    assert not small.tick("lake_commits", seen).asset_events
    assert problems(lake, small, MAIN) == []


def test_a_branch_begins_only_where_something_was_published(lake: Lake, small: SmallGraph, dev: str) -> None:
    small.write_source("tue", 3.0)
    run = small.run("raw", "prices", partition_key="tue")
    with pytest.raises(Failure, match="it was not audited"):
        create_working_branch(lake, "dev-ben", f"run-{run.run_id}")
    lake.tag("v1", MAIN)
    assert create_working_branch(lake, "dev-ben", "v1") == lake.head(MAIN)


def test_a_reexecution_goes_on_where_its_parent_was(
    lake: Lake, small: SmallGraph, dev: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.write_source("tue", 3.0)
    parent = small.run("raw", "prices", partition_key="tue", tags=ON_DEV)
    assert lake.branches() == (DEV, MAIN, f"run-{parent.run_id}")
    job = small.defs.resolve_implicit_global_asset_job_def()
    child = DagsterRun(job.name, parent_run_id=parent.run_id, root_run_id=parent.run_id)
    small.instance.add_run(child)
    assert record_target(small.instance, child, MAIN) == dev
    stored = small.instance.get_run_by_id(child.run_id)
    assert stored is not None
    assert target_of(small.instance, stored) == dev
    other = DagsterRun(
        job.name,
        parent_run_id=parent.run_id,
        root_run_id=parent.run_id,
        tags={"lake/branch": MAIN},
        step_keys_to_execute=["prices_published"],
    )
    small.instance.add_run(other)
    with pytest.raises(Failure, match=f"works on the branch '{dev}', and not on '{MAIN}'"):
        ensure_run_branch(lake, small.instance, other)


@pytest.mark.parametrize("sensor", ["lake_commits", "sinks_follow_main"])
def test_a_sensor_of_a_branch_that_nobody_made_says_how_to_make_it(
    small: SmallGraph, sensor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_BRANCH", "nowhere")
    with pytest.raises(Failure, match="`lake-assets branch create nowhere` makes it"):
        SmallGraph(small.source, small.instance).tick(sensor, None)
