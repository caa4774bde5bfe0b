"""A branch to work on: runs begin at it and publish to it, and its data reach `main` by an audited merge."""

from __future__ import annotations

import pytest
from dagster import DagsterRun, Failure

from lake_assets.lake.audit import Override, read_record
from lake_assets.lake.contract import MAIN, Lake
from lake_assets.lake.errors import ProtectedBranch, Unaudited
from lake_assets.runs.commit_metadata import CommitMetadata
from lake_assets.runs.merging import merge_branch
from lake_assets_tests.lake.backends import put
from lake_assets_tests.small_graph import SmallGraph, days_of

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
