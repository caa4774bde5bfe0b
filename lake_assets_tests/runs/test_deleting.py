"""Deleting: what is taken off `main` by a named person, what Dagster is told, and what follows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas
import pytest
from dagster import (
    AssetCheckResult,
    AssetKey,
    DagsterInstance,
    Definitions,
    Failure,
    StaticPartitionsDefinition,
    asset,
    asset_check,
    materialize,
)
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from lake_assets import environments
from lake_assets.lake.audit import read_record
from lake_assets.lake.contract import MAIN, Commit, Lake
from lake_assets.runs.deleting import delete, deletion_events, plan_deletion
from lake_assets.runs.event_log import EventLog
from lake_assets.runs.rollback import ABSENT, plan_rollback, roll_back
from lake_assets.runs.verification import Verification
from lake_assets_tests.audits import TESTS
from lake_assets_tests.defs.environments import use_fresh
from lake_assets_tests.lake.backends import BACKENDS, put
from lake_assets_tests.runs.test_rollback import version
from lake_assets_tests.small_graph import SmallGraph, days_of


@asset_check(asset="prices", blocking=True)
def positive() -> AssetCheckResult:
    return AssetCheckResult(passed=True)


@pytest.fixture(params=BACKENDS)
def small(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallGraph]:
    use_fresh(request.param, tmp_path, monkeypatch)
    with DagsterInstance.ephemeral() as instance:
        yield SmallGraph(tmp_path / "source", instance)


@pytest.fixture
def lake(small: SmallGraph) -> Iterator[Lake]:
    with closing(environments.open_lake()) as lake:
        yield lake


def graph_of(small: SmallGraph) -> AssetGraph:
    """Return the graph with a blocking check, that nobody ran on nothing."""
    return Definitions.merge(small.defs, Definitions(asset_checks=[positive])).resolve_asset_graph()


def deleted(small: SmallGraph, lake: Lake, place: str) -> Commit:
    graph = graph_of(small)
    merge = delete(lake, small.instance, graph, plan_deletion(lake, place), by="ada", reason="a test")
    for event in deletion_events(lake, EventLog(small.instance), graph, merge):
        small.instance.report_runless_asset_event(event)
    return merge


def items() -> int:
    with closing(environments.open_nosql()) as store:
        return store.row_count("prices_table")


def test_a_partition_goes_the_sinks_follow_and_a_rollback_brings_it_back(small: SmallGraph, lake: Lake) -> None:
    small.publish("mon", 1.0)
    small.publish("tue", 1.0, 2.0, 3.0)
    assert small.run("prices_table", partition_key="tue").success
    before, raw = lake.head(MAIN).id, lake.fingerprint(MAIN, "raw")
    cursor = small.tick("sinks_follow_main", None).cursor

    merge = deleted(small, lake, "prices/partition=tue")
    assert days_of(lake, MAIN) == ["mon"]
    assert lake.fingerprint(MAIN, "raw") == raw
    assert {name: merge.metadata[name] for name in ("deleted", "by", "reason")} == {
        "deleted": "prices/partition=tue",
        "by": "ada",
        "reason": "a test",
    }
    (entry,) = read_record(merge.metadata) or []
    assert entry == {
        "asset": "prices",
        "partitions": "tue",
        "count": 1,
        "overridden": ["prices:positive"],
        "by": "ada",
        "reason": "a test",
    }
    assert lake.branches() == (MAIN,)

    assert version(small, "prices", "tue") == ABSENT
    requests = small.tick("sinks_follow_main", cursor).run_requests
    assert requests
    (request,) = requests
    assert (request.asset_selection, request.partition_key) == ([AssetKey("prices_table")], "tue")
    assert items() == 3
    assert small.run("prices_table", partition_key="tue").success
    assert items() == 1
    assert list(Verification(lake, small.instance, MAIN).problems(lambda _: None)) == []

    roll_back(lake, small.instance, graph_of(small), plan_rollback(lake, before, "prices"), "a mistake")
    assert not lake.diff(before, MAIN)


def test_all_of_an_asset_goes_with_what_lies_beside_it(small: SmallGraph, lake: Lake) -> None:
    small.publish_range("mon", "wed", 1.0)
    lake.create_branch("mine", MAIN)
    put(lake, "mine", "_beside/prices", {"note": "1"})
    put(lake, "mine", "pricesless", {"a": "1"})
    lake.merge("mine", MAIN, audit=TESTS)
    lake.delete_branch("mine")
    merge = deleted(small, lake, "prices")
    assert {item.path.partition("/")[0] for item in lake.list(MAIN)} == {"raw", "pricesless"}
    assert {version(small, "prices", day) for day in ("mon", "tue", "wed")} == {ABSENT}
    # Told once, whoever asks.
    assert deletion_events(lake, EventLog(small.instance), graph_of(small), merge) == []
    small.publish("mon", 2.0)
    assert days_of(lake, MAIN) == ["mon"]


def test_dagster_is_told_by_the_sensor_where_the_deletion_was_killed(small: SmallGraph, lake: Lake) -> None:
    small.publish("mon", 1.0)
    cursor = small.tick("lake_commits", None).cursor
    delete(
        lake, small.instance, graph_of(small), plan_deletion(lake, "prices"), by="ada", reason="killed before it told"
    )
    told = small.tick("lake_commits", cursor).asset_events
    assert [(event.asset_key.to_user_string(), event.partition) for event in told] == [
        ("prices", "mon"),
        ("prices_published", "mon"),
    ]


def test_a_file_of_no_asset_goes_too(small: SmallGraph, lake: Lake) -> None:
    lake.create_branch("mine", MAIN)
    put(lake, "mine", "notes", {"a/b.txt": "1"})
    lake.merge("mine", MAIN, audit=TESTS)
    lake.delete_branch("mine")
    deleted(small, lake, "notes/a")
    assert list(lake.list(MAIN)) == []


def test_what_cannot_be_deleted(small: SmallGraph, lake: Lake) -> None:
    small.publish("mon", 1.0)
    with pytest.raises(Failure, match="holds nothing at 'prices/partition=tue'"):
        plan_deletion(lake, "prices/partition=tue")
    with pytest.raises(Failure, match="is a part of 'prices/partition=mon'"):
        plan_deletion(lake, "prices/partition=mon/part-00000.parquet")
    plan = plan_deletion(lake, "prices/partition=mon")
    small.publish("mon", 2.0)
    head = lake.head(MAIN)
    with pytest.raises(Failure, match="prices/partition=mon is not deleted: since it was planned"):
        delete(lake, small.instance, graph_of(small), plan, by="ada", reason="too late")
    assert lake.head(MAIN) == head
    assert lake.branches() == (MAIN,)


def test_after_a_deletion_an_asset_is_partitioned_in_another_way(small: SmallGraph, lake: Lake) -> None:
    def run(partitions: Any, key: str | None) -> bool:
        @asset(partitions_def=partitions, io_manager_key="parquet_io_manager")
        def sales() -> pandas.DataFrame:
            return pandas.DataFrame({"n": [1]})

        resources = environments.resources()
        made = materialize(
            [sales], instance=small.instance, partition_key=key, resources=resources, raise_on_error=False
        )
        if made.success:
            lake.merge(f"run-{made.run_id}", MAIN, audit=TESTS)
        return made.success

    cities = StaticPartitionsDefinition(["rome"])
    assert run(None, None)
    assert not run(cities, "rome")
    deleted(small, lake, "sales")
    assert run(cities, "rome")
    assert {item.path.rpartition("/")[0] for item in lake.list(MAIN)} == {"sales/partition=rome"}
