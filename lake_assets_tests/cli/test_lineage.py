"""`lineage`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

from lake_assets import environments
from lake_assets.lake.embedded import GitLake
from lake_assets_tests.cli.conftest import Command
from lake_assets_tests.small_graph import SmallGraph

Answer = Callable[..., Any]
Refused = Callable[..., str]


def test_an_assets_tree_leads_to_the_runs_code_and_sources_that_made_it(answer: Answer, graph: SmallGraph) -> None:
    graph.publish("mon", 1.0, 2.0)
    tuesday = graph.publish("tue", 3.0)
    monday = graph.publish("mon", 1.0, 2.5)
    found = answer("lineage", "prices")
    newest, older = found["made_by"]
    assert (found["asset"], found["ref"]) == ("prices", "main")
    assert {newest["run"], older["run"]} == {monday.run_id, tuesday.run_id}
    by_run = {made["run"]: made for made in (newest, older)}
    made = by_run[monday.run_id]
    assert (made["places"], made["rows"], made["code_version"], made["step"]) == (
        ["prices/partition=mon"],
        2,
        "2",
        "prices",
    )
    (read,) = made["inputs"]
    assert (read["asset"], read["places"], read["run"]) == ("raw", ["raw/partition=mon"], monday.run_id)
    assert read["sources"] == ["file:///prices/mon.csv"]
    assert read["inputs"] == []


def test_an_earlier_ref_has_the_lineage_of_then(answer: Answer, graph: SmallGraph) -> None:
    first = graph.publish("mon", 1.0)
    lake = environments.open_lake()
    lake.tag("before", "main")
    lake.close()
    graph.publish("mon", 2.0)
    (made,) = answer("lineage", "prices/partition=mon@before")["made_by"]
    assert made["run"] == first.run_id


def test_the_tree_is_printed_with_a_line_a_commit_and_a_line_a_source(command: Command, graph: SmallGraph) -> None:
    run = graph.publish("mon", 1.0)
    with closing(environments.open_lake()) as lake:
        head = lake.head("main").id
    title, prices, published, raw, source = command("lineage", "prices").stdout.splitlines()
    assert title.startswith("prices at main (")
    assert f"run {run.run_id[:8]}  code version 2" in prices
    assert "── prices partition=mon  commit " in prices
    assert f"── published by {head[:12]}: prices mon: no checks" in published
    assert "── raw partition=mon  commit " in raw
    assert source.strip() == "└── source file:///prices/mon.csv"


def test_an_unpartitioned_asset_was_made_from_all_partitions_of_its_input(answer: Answer, graph: SmallGraph) -> None:
    both = graph.publish_range("mon", "tue", 1.0)
    total = graph.run("total")
    (made,) = answer("lineage", f"total@run-{total.run_id}")["made_by"]
    assert made["publication"] is None
    (read,) = made["inputs"]
    assert (read["places"], read["run"]) == (["prices/partition=mon", "prices/partition=tue"], both.run_id)
    assert sorted(read["inputs"][0]["sources"]) == ["file:///prices/mon.csv", "file:///prices/tue.csv"]


def test_an_asset_that_the_ref_does_not_hold_is_named(refused: Refused, graph: SmallGraph) -> None:
    graph.publish("mon", 1.0)
    assert "path 'nothing'" in refused("lineage", "nothing")
    assert "nowhere" in refused("lineage", "raw@nowhere")


def test_each_file_that_ls_shows_has_the_lineage_of_what_it_was_written_with(
    answer: Answer, graph: SmallGraph, command: Command
) -> None:
    graph.publish("tue", 3.0)
    monday = graph.publish("mon", 1.0, 2.0)
    files = [file["path"] for file in answer("ls", "main") if "partition=mon" in file["path"]]
    assert len(files) == 4
    for file in files:
        (made,) = answer("lineage", file)["made_by"]
        assert (made["run"], made["places"]) == (monday.run_id, [file.rpartition("/")[0]])
        asset = file.partition("/")[0]
        assert [read["places"] for read in made["inputs"]] == ([["raw/partition=mon"]] if asset == "prices" else [])
    assert command("lineage", files[0]).stdout.startswith(f"{files[0]} at main (")
    uri = f"lake://{answer('log')[0]['id']}/{files[0]}"
    assert answer("lineage", uri)["made_by"] == answer("lineage", files[0])["made_by"]


def test_a_file_that_no_asset_wrote_has_the_commit_that_did(answer: Answer, lake: GitLake) -> None:
    for file in answer("ls", "main"):
        (made,) = answer("lineage", file["path"])["made_by"]
        assert made["commit"] in {commit["id"] for commit in answer("log", "--prefix", file["path"])}
