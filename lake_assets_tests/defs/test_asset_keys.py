"""Assets whose keys begin each other, on both lakes: no write touches what is another's, and every tool knows them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import pandas
import pytest
from dagster import AssetKey, DagsterInstance
from typer.testing import CliRunner

from lake_assets import definitions, environments
from lake_assets.cli import rolling_back
from lake_assets.cli.app import app
from lake_assets.lake.contract import MAIN, Lake
from lake_assets.runs.event_log import EventLog
from lake_assets.runs.rollback import plan_rollback, roll_back, rollback_events
from lake_assets.runs.verification import Verification
from lake_assets_tests.defs.environments import use_fresh
from lake_assets_tests.keyed_graph import BY_CITY, DAILY, DEEP, DOTTED, LAKE_ASSETS, SALES, TABLE, KeyedGraph
from lake_assets_tests.lake.backends import BACKENDS


@pytest.fixture(params=BACKENDS)
def keyed(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeyedGraph]:
    use_fresh(request.param, tmp_path, monkeypatch)
    with DagsterInstance.ephemeral() as instance:
        graph = KeyedGraph(instance)
        monkeypatch.setattr(definitions, "defs", graph.defs)
        monkeypatch.setattr(rolling_back, "open_instance", lambda: nullcontext(instance))
        yield graph


@pytest.fixture
def lake(keyed: KeyedGraph) -> Iterator[Lake]:
    with closing(environments.open_lake()) as lake:
        yield lake


def rows(lake: Lake, key: AssetKey) -> int:
    """Return the rows that `main` holds of an asset, which are its own."""
    place = lake.path(MAIN, LAKE_ASSETS[key])
    frame: pandas.DataFrame = pandas.read_parquet(place.root, filesystem=place.filesystem)
    assert set(frame["of"]) == {key.to_user_string()}
    return len(frame)


def answer(*arguments: str) -> Any:
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_no_asset_touches_anothers_folder_and_every_tool_knows_each(keyed: KeyedGraph, lake: Lake) -> None:
    for number, key in enumerate([DAILY, SALES, DOTTED, DEEP, DAILY], 1):
        assert keyed.publish(key, *set(LAKE_ASSETS) - {key}, rows=number).success
        assert {rows(lake, other) for other in LAKE_ASSETS} == {number}
    assert {item.path.partition("/")[0] for item in lake.list(MAIN)} == set(LAKE_ASSETS.values())
    before = lake.head(MAIN).id
    assert keyed.publish(SALES, rows=7).success
    assert {key: rows(lake, key) for key in LAKE_ASSETS} == {SALES: 7, DAILY: 5, DEEP: 5, DOTTED: 5}

    assert keyed.run(TABLE).success
    assert len(next(iter(environments.open_nosql().scan("shop/sales_table")))) == 5

    assert len(answer("cat", "main:sales/daily")) == 5
    assert len(answer("cat", "main:sales")) == 7
    assert {row["of"] for row in answer("cat", "main:a.b")} == {"a.b"}
    assert {row["of"] for row in answer("cat", "main:a/b/c")} == {"a/b/c"}
    assert [item["path"] for item in answer("ls", "main:sales")] == ["sales/_manifest.json", "sales/part-00000.parquet"]
    assert answer("path", "main:sales/daily/part-00000.parquet")["prefix"] == "sales.daily/part-00000.parquet"
    assert answer("path", f"lake://{before}/sales.daily")["commit"] == before
    assert [entry["asset"] for entry in answer("log", "--prefix", "sales/daily", "--limit", "1")] == ["sales/daily"]
    assert answer("diff", before, "main", "sales/daily") == {"added": [], "removed": [], "changed": []}
    (made,) = answer("lineage", "a/b/c")["made_by"]
    (read,) = made["inputs"]
    assert (made["asset"], made["places"], read["asset"], read["places"]) == (
        "a/b/c",
        ["a.b.c"],
        "sales/daily",
        ["sales.daily"],
    )
    assert list(Verification(lake, keyed.instance, MAIN).problems(lambda _: None)) == []


def test_a_rollback_of_one_leaves_the_others_and_the_sinks_follow(keyed: KeyedGraph, lake: Lake) -> None:
    keyed.publish(*LAKE_ASSETS, rows=2)
    before = lake.head(MAIN).id
    keyed.publish(*LAKE_ASSETS, rows=3)
    graph = keyed.defs.resolve_asset_graph()
    assert answer("rollback", "sales/daily", "--to", before)["changed"] == [
        "sales.daily/_manifest.json",
        "sales.daily/part-00000.parquet",
    ]
    merge = roll_back(lake, keyed.instance, graph, plan_rollback(lake, before, "sales.daily"), "a test")
    assert {key: rows(lake, key) for key in LAKE_ASSETS} == {SALES: 3, DAILY: 2, DEEP: 3, DOTTED: 3}
    told = rollback_events(lake, EventLog(keyed.instance), graph, merge)
    assert [event.asset_key for event in told] == [DAILY, AssetKey("shop_published")]
    for event in told:
        keyed.instance.report_runless_asset_event(event)
    assert list(Verification(lake, keyed.instance, MAIN).problems(lambda _: None)) == []


def test_partitions_are_named_by_their_keys_or_folders(keyed: KeyedGraph, lake: Lake) -> None:
    for city in ("köln", "a/b"):
        assert keyed.run(BY_CITY, AssetKey("cities_published"), partition_key=city).success
    assert [row["of"] for row in answer("cat", "main:sales/daily/by-city/köln")] == ["köln"] * 2
    assert [row["of"] for row in answer("cat", "main:sales/daily/by-city/a/b")] == ["a/b"] * 2
    assert len(answer("ls", "main:sales/daily/by-city/partition=köln")) == 2
    assert [made["places"] for made in answer("lineage", "sales/daily/by-city/köln")["made_by"]] == [
        ["sales.daily.by-city/partition=köln"]
    ]
    failed = CliRunner().invoke(app, ["cat", "main:sales/daily/by-city/rome"])
    assert failed.exit_code == 1
    assert "sales.daily.by-city/partition=rome" in failed.stderr
    assert list(Verification(lake, keyed.instance, MAIN).problems(lambda _: None)) == []
