"""The sensor `lake_commits`: what reached `main` by no run of ours."""

from __future__ import annotations

import pytest
from dagster import AssetMaterialization, DagsterInstance

from lake_assets.lake.contract import MAIN, Lake
from lake_assets.runs.rollback import plan_rollback, roll_back
from lake_assets.runs.verification import Verification
from lake_assets_tests.audits import TESTS
from lake_assets_tests.lake.backends import put
from lake_assets_tests.runs.test_rollback import rolled_back, stale, version
from lake_assets_tests.small_graph import SmallGraph

SENSOR = "lake_commits"


def by_hand(lake: Lake, prefix: str, content: str = "x", message: str = "By hand") -> str:
    """Write one file in place of a prefix, merge it, and return the merge."""
    lake.create_branch("mine", MAIN)
    put(lake, "mine", prefix, {"mine.txt": content})
    merge = lake.merge("mine", MAIN, message, audit=TESTS)
    lake.delete_branch("mine")
    return merge.id


def tick(small: SmallGraph, cursor: str | None) -> tuple[list[AssetMaterialization], str | None]:
    """Evaluate the sensor and do what the daemon does with its events."""
    ticked = small.tick(SENSOR, cursor)
    events = [event for event in ticked.asset_events if isinstance(event, AssetMaterialization)]
    for event in events:
        small.instance.report_runless_asset_event(event)
    return events, ticked.cursor


def test_a_commit_of_no_run_is_a_materialization_and_what_is_downstream_becomes_stale(
    small: SmallGraph, lake: Lake
) -> None:
    small.publish_range("mon", "tue", 1.0)
    events, cursor = tick(small, None)
    assert (events, cursor) == ([], lake.head(MAIN).id)
    merge = by_hand(lake, "raw/partition=mon")
    by_hand(lake, "notes")
    (event,), cursor = tick(small, cursor)
    assert (event.asset_key.path, event.partition, event.metadata["lake/commit"].value) == (["raw"], "mon", merge)
    assert "By hand" in (event.description or "")
    assert stale(small, "mon", "tue") == {"prices/mon", "prices_published/mon"}
    assert tick(small, cursor) == ([], cursor)
    # Told of it, Dagster knows what the lake holds; no manifest does.
    problems = Verification(lake, small.instance, MAIN).problems(lambda _: None)
    assert [problem.path for problem in problems] == ["raw/partition=mon/mine.txt"]


def test_runs_and_rollbacks_of_ours_are_not_reported_again(small: SmallGraph, lake: Lake) -> None:
    _, cursor = tick(small, None)
    small.publish("mon", 1.0)
    first = lake.head(MAIN).id
    small.publish("mon", 2.0)
    rolled_back(small, lake, first)
    events, cursor = tick(small, cursor)
    assert (events, cursor) == ([], lake.head(MAIN).id)


def test_a_rollback_that_was_killed_before_it_told_dagster_is_made_up_for(small: SmallGraph, lake: Lake) -> None:
    small.publish("mon", 1.0)
    first, before = lake.head(MAIN).id, version(small, "prices", "mon")
    small.publish("mon", 2.0)
    _, cursor = tick(small, None)
    roll_back(lake, small.instance, small.defs.resolve_asset_graph(), plan_rollback(lake, first), "a test")
    events, _ = tick(small, cursor)
    assert [event.asset_key.path[0] for event in events] == ["raw", "prices", "prices_published"]
    assert version(small, "prices", "mon") == before


def test_a_runs_branch_merged_by_hand_has_the_versions_of_its_manifests(small: SmallGraph, lake: Lake) -> None:
    small.publish("mon", 1.0)
    _, cursor = tick(small, None)
    small.write_source("mon", 2.0)
    run = small.run("raw", partition_key="mon")
    known = version(small, "raw", "mon")
    lake.merge(f"run-{run.run_id}", MAIN, audit=TESTS)
    (event,), _ = tick(small, cursor)
    assert (event.tags or {})["dagster/data_version"] == known
    assert version(small, "raw", "mon") == known


def test_a_message_of_somebody_is_shown_as_text(small: SmallGraph, lake: Lake) -> None:
    small.publish("mon", 1.0)
    _, cursor = tick(small, None)
    by_hand(lake, "raw/partition=mon", message="![x](http://evil.example/x.png) **bold**")
    (event,), _ = tick(small, cursor)
    assert r"\!\[x\](http\://evil.example/x.png) \*\*bold\*\*" in (event.description or "")


# What the event log has tells where the reports ended


def days(events: list[AssetMaterialization]) -> list[str | None]:
    return [event.partition for event in events]


@pytest.mark.parametrize(
    ("small", "cursor"),
    [
        ("embedded", None),
        ("embedded", ""),
        ("embedded", "no commit"),
        pytest.param("lakefs", "f" * 64, marks=pytest.mark.services),
    ],
    indirect=["small"],
)
def test_a_lost_cursor_loses_no_commit_and_repeats_none(small: SmallGraph, lake: Lake, cursor: str | None) -> None:
    by_hand(lake, "raw/partition=wed")
    assert tick(small, None) == ([], lake.head(MAIN).id)
    small.publish_range("mon", "tue", 1.0)
    by_hand(lake, "raw/partition=mon")
    assert days(tick(small, cursor)[0]) == ["mon"]
    by_hand(lake, "raw/partition=tue")
    by_hand(lake, "notes")
    small.publish("wed", 1.0)
    assert days(tick(small, cursor)[0]) == ["tue"]
    assert tick(small, cursor) == ([], lake.head(MAIN).id)


def test_a_dagster_that_knows_no_run_of_the_lake_begins_at_its_head(small: SmallGraph, lake: Lake) -> None:
    small.publish("mon", 1.0)
    by_hand(lake, "raw/partition=mon")
    with DagsterInstance.ephemeral() as instance:
        new = SmallGraph(small.source, instance)
        assert tick(new, None) == ([], lake.head(MAIN).id)
        assert new.publish("tue", 1.0).success
        assert tick(new, None) == ([], lake.head(MAIN).id)


def test_runs_that_were_deleted_in_dagster_do_not_bring_back_what_was_reported(small: SmallGraph, lake: Lake) -> None:
    small.publish("mon", 1.0)
    by_hand(lake, "raw/partition=mon")
    assert days(tick(small, None)[0]) == ["mon"]
    for run_id in small.instance.get_run_ids():
        small.instance.delete_run(run_id)
    by_hand(lake, "raw/partition=tue")
    assert days(tick(small, None)[0]) == ["tue"]


@pytest.mark.parametrize("lost", [True, False])
def test_what_a_run_has_written_since_is_not_reported_over_it(small: SmallGraph, lake: Lake, lost: bool) -> None:
    small.publish("mon", 1.0)
    _, cursor = tick(small, None)
    by_hand(lake, "raw/partition=mon")
    by_hand(lake, "raw/partition=tue")
    small.publish("mon", 2.0)
    known = version(small, "raw", "mon")
    assert days(tick(small, None if lost else cursor)[0]) == ["tue"]
    assert version(small, "raw", "mon") == known


def test_what_was_reported_in_part_is_reported_to_the_end(small: SmallGraph, lake: Lake) -> None:
    small.publish("mon", 1.0)
    lake.create_branch("mine", MAIN)
    put(lake, "mine", "raw", {f"partition={day}/mine.txt": "x" for day in ("mon", "tue")})
    lake.merge("mine", MAIN, "By hand", audit=TESTS)
    first, second = small.tick(SENSOR, None).asset_events
    small.instance.report_runless_asset_event(first)
    assert days(tick(small, None)[0]) == [second.partition]
    assert tick(small, None)[0] == []


def test_a_rollback_that_reported_itself_hides_no_commit_before_it(small: SmallGraph, lake: Lake) -> None:
    small.publish("mon", 1.0)
    small.publish("tue", 1.0)
    first = lake.head(MAIN).id
    small.publish("tue", 2.0)
    by_hand(lake, "raw/partition=mon")
    rolled_back(small, lake, first, "prices")
    assert ("raw", "mon") in [(event.asset_key.path[0], event.partition) for event in tick(small, None)[0]]
