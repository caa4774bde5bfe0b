"""Rollback: what it restores, what Dagster knows afterwards, and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from dagster import AssetKey, Failure
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from lake_assets.lake.contract import MAIN, Commit, Lake
from lake_assets.lake.names import beside
from lake_assets.runs.event_log import EventLog
from lake_assets.runs.rollback import plan_rollback, roll_back, rollback_events
from lake_assets.runs.verification import Verification
from lake_assets_tests.audits import TESTS
from lake_assets_tests.lake.backends import BACKENDS
from lake_assets_tests.small_graph import SmallGraph

both_lakes = pytest.mark.parametrize("small", BACKENDS, indirect=True)


def rolled_back(small: SmallGraph, lake: Lake, to: str, asset: str = "") -> Commit:
    """Roll back and tell Dagster; return the merge."""
    graph = small.defs.resolve_asset_graph()
    merge = roll_back(lake, small.instance, graph, plan_rollback(lake, to, asset), "a test")
    for event in rollback_events(lake, EventLog(small.instance), graph, merge):
        small.instance.report_runless_asset_event(event)
    return merge


NAMES = ("raw", "prices", "prices_published")


def stale(small: SmallGraph, *days: str, names: Sequence[str] = NAMES) -> set[str]:
    """Return what Dagster calls stale or missing, as `asset/day`."""
    graph = small.defs.resolve_asset_graph()
    resolver = CachingStaleStatusResolver(small.instance, graph, LoadingContextForTest(small.instance))
    return {
        f"{name}/{day}"
        for name in names
        for day in days
        if resolver.get_status(AssetKey(name), day) != StaleStatus.FRESH
    }


def version(small: SmallGraph, name: str, day: str) -> str | None:
    """Return the data version that Dagster knows."""
    record = small.instance.get_latest_data_version_record(AssetKey(name), partition_key=day)
    tags = record.event_log_entry.tags if record else None
    return tags.get("dagster/data_version") if tags else None


def published(small: SmallGraph, name: str) -> str:
    """Return what the newest materialization of an asset says of its publication."""
    record = small.instance.fetch_materializations(AssetKey(name), limit=1).records[0]
    materialization = record.asset_materialization
    assert materialization is not None
    return str(materialization.metadata["lake/published"].value)


def test_all_goes_back_to_a_tag_with_its_versions_and_nothing_is_stale(small: SmallGraph, lake: Lake) -> None:
    small.publish("mon", 1.0)
    before = {name: version(small, name, "mon") for name in ("raw", "prices", "prices_published")}
    lake.tag("before", MAIN)
    small.publish("mon", 1.0, 2.0)
    small.publish("tue", 3.0)
    assert before != {name: version(small, name, "mon") for name in before}

    merge = rolled_back(small, lake, "before")

    assert not lake.diff("before", MAIN)
    assert lake.branches() == (MAIN,)
    assert (merge.metadata["rollback_to"], merge.metadata["reason"]) == (lake.head("before").id, "a test")
    assert {published(small, name) for name in ("raw", "prices")} == {f"yes, by commit {merge.id}"}
    assert before == {name: version(small, name, "mon") for name in before}
    # What was not there then is told to be gone.
    assert {version(small, name, "tue") for name in ("raw", "prices")} == {"absent"}
    assert stale(small, "mon", "tue") == set()
    assert list(Verification(lake, small.instance, MAIN).problems(lambda _: None)) == []


def test_one_asset_goes_back_alone_and_is_stale_where_its_input_is_newer(small: SmallGraph, lake: Lake) -> None:
    small.publish("mon", 1.0)
    lake.tag("before", MAIN)
    small.publish("mon", 1.0, 2.0)
    raw = lake.fingerprint(MAIN, "raw")
    rolled_back(small, lake, "before", "prices")
    assert lake.fingerprint(MAIN, "prices") == lake.fingerprint("before", "prices")
    assert lake.fingerprint(MAIN, "raw") == raw
    assert stale(small, "mon") == {"prices/mon"}
    small.publish("mon", 1.0, 2.0)
    assert stale(small, "mon") == set()
    assert list(Verification(lake, small.instance, MAIN).problems(lambda _: None)) == []


def test_a_rollback_of_a_rollback_has_the_versions_of_what_was_first_written(small: SmallGraph, lake: Lake) -> None:
    small.publish_range("mon", "tue", 1.0)
    first = lake.head(MAIN).id
    small.publish("mon", 2.0)
    second = lake.head(MAIN).id
    newer = version(small, "prices", "mon")
    rolled_back(small, lake, first)
    rolled_back(small, lake, second)
    assert version(small, "prices", "mon") == newer
    assert not lake.diff(second, MAIN)
    third = lake.head(MAIN).id
    small.publish("mon", 3.0)
    rolled_back(small, lake, third)
    assert version(small, "prices", "mon") == newer
    assert list(Verification(lake, small.instance, MAIN).problems(lambda _: None)) == []


def test_dagster_is_told_once_and_by_whoever_comes_next_where_the_first_was_killed(
    small: SmallGraph, lake: Lake
) -> None:
    small.publish("mon", 1.0)
    first = lake.head(MAIN).id
    small.publish("mon", 2.0)
    graph = small.defs.resolve_asset_graph()
    merge = roll_back(lake, small.instance, graph, plan_rollback(lake, first), "killed before it told")
    told = rollback_events(lake, EventLog(small.instance), graph, merge)
    assert [event.asset_key.path[0] for event in told] == ["raw", "prices", "prices_published"]
    for event in told:
        small.instance.report_runless_asset_event(event)
    assert rollback_events(lake, EventLog(small.instance), graph, merge) == []


def test_what_was_published_meanwhile_conflicts_where_it_is_the_same_place_and_stays_where_not(
    small: SmallGraph, lake: Lake
) -> None:
    small.publish("mon", 1.0)
    first = lake.head(MAIN).id
    small.publish("mon", 2.0)
    graph = small.defs.resolve_asset_graph()
    plan = plan_rollback(lake, first, "prices")
    tuesday = small.publish("tue", 1.0)
    assert tuesday.success
    merged = roll_back(lake, small.instance, graph, plan, "a test")
    assert lake.diff(first, merged.id, "prices").removed == ()
    assert lake.fingerprint(MAIN, "prices/partition=tue") is not None

    plan = plan_rollback(lake, plan.head.id, "prices")
    run = small.publish("mon", 3.0)
    head = lake.head(MAIN)
    with pytest.raises(Failure, match=f"prices/partition=mon.*{run.run_id}"):
        roll_back(lake, small.instance, graph, plan, "a test")
    assert lake.head(MAIN) == head
    assert lake.branches() == (MAIN,)


def test_a_folder_of_no_asset_goes_back_too(small: SmallGraph, lake: Lake) -> None:
    lake.create_branch("mine", MAIN)
    with lake.write("mine", "notes/old") as write:
        Path(write.root, "a.txt").write_text("a")
    before = lake.merge("mine", MAIN, audit=TESTS).id
    with lake.write("mine", "notes") as write:
        Path(write.root, "b.txt").write_text("b")
    lake.merge("mine", MAIN, audit=TESTS)
    lake.delete_branch("mine")
    rolled_back(small, lake, before)
    assert [item.path for item in lake.list(MAIN)] == ["notes/old/a.txt"]


def test_a_commit_that_main_never_held_is_refused(small: SmallGraph, lake: Lake) -> None:
    small.publish("mon", 1.0)
    result = small.run("raw", partition_key="mon")
    assert result.success
    lake.create_branch("mine", MAIN)
    with lake.write("mine", "raw") as write:
        Path(write.root, "a.txt").write_text("unaudited")
    with pytest.raises(Failure, match="was never published"):
        plan_rollback(lake, "mine", "raw")
    with pytest.raises(Failure, match="holds anything at 'nothing'"):
        plan_rollback(lake, MAIN, "nothing")


@both_lakes
def test_one_partition_goes_back_alone(small: SmallGraph, lake: Lake) -> None:
    small.publish_range("mon", "tue", 1.0)
    lake.tag("before", MAIN)
    first = version(small, "prices", "mon")
    small.publish_range("mon", "tue", 1.0, 2.0)
    newer = {place: lake.fingerprint(MAIN, place) for place in ("prices/partition=tue", "raw")}

    merge = rolled_back(small, lake, "before", "prices/partition=mon")

    assert lake.fingerprint(MAIN, "prices/partition=mon") == lake.fingerprint("before", "prices/partition=mon")
    assert newer == {place: lake.fingerprint(MAIN, place) for place in newer}
    assert version(small, "prices", "mon") == first
    assert stale(small, "mon", "tue") == {"prices/mon"}
    (made,) = [commit for commit in lake.log(merge.id, 2, "prices") if len(commit.parents) < 2][:1]
    assert (made.metadata["asset"], made.metadata["partition"], made.metadata["rows"]) == ("prices", "mon", "1")
    assert list(Verification(lake, small.instance, MAIN).problems(lambda _: None)) == []


@both_lakes
def test_a_partition_that_was_not_there_goes(small: SmallGraph, lake: Lake) -> None:
    small.publish("mon", 1.0)
    lake.tag("before", MAIN)
    small.publish("tue", 1.0)
    monday = lake.fingerprint(MAIN, "prices/partition=mon")
    rolled_back(small, lake, "before", "prices/partition=tue")
    assert lake.fingerprint(MAIN, "prices/partition=tue") is None
    assert lake.fingerprint(MAIN, "prices/partition=mon") == monday
    assert version(small, "prices", "tue") == "absent"
    small.publish("tue", 2.0)
    assert lake.fingerprint(MAIN, "prices/partition=tue") is not None


@both_lakes
def test_what_lies_beside_the_whole_asset_stays_where_one_partition_goes_back(small: SmallGraph, lake: Lake) -> None:
    small.publish("mon", 1.0)
    whole, of_monday = beside("prices"), beside("prices/partition=mon")
    for text in ("old", "new"):
        lake.create_branch("mine", MAIN)
        with lake.write("mine", "prices", mode="append", beside=[whole]) as write:
            for path in (f"{whole}/position.json", f"{of_monday}/notes.txt"):
                place = write.place(path)
                write.filesystem.create_dir(place.rpartition("/")[0], recursive=True)
                with write.filesystem.open_output_stream(place) as stream:
                    stream.write(text.encode())
        merge = lake.merge("mine", MAIN, audit=TESTS)
        lake.delete_branch("mine")
        if text == "old":
            lake.tag("before", merge.id)
    small.publish("mon", 2.0)
    position = lake.fingerprint(MAIN, f"{whole}/position.json")

    rolled_back(small, lake, "before", "prices/partition=mon")

    assert lake.fingerprint(MAIN, "prices") == lake.fingerprint("before", "prices")
    assert lake.fingerprint(MAIN, of_monday) == lake.fingerprint("before", of_monday)
    assert lake.fingerprint(MAIN, f"{whole}/position.json") == position
    rolled_back(small, lake, "before", "prices")
    assert lake.fingerprint(MAIN, whole) == lake.fingerprint("before", whole)


@both_lakes
def test_a_part_of_what_was_written_as_a_whole_is_refused(small: SmallGraph, lake: Lake) -> None:
    small.publish("mon", 1.0)
    (part,) = [item.path for item in lake.list(MAIN, "prices/partition=mon") if item.path.endswith(".parquet")]
    with pytest.raises(
        Failure, match="is a part of 'prices/partition=mon', which was written as a whole: roll that back"
    ):
        plan_rollback(lake, MAIN, part)
