"""`rollback`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from lake_assets import definitions, environments
from lake_assets.cli.app import app
from lake_assets.lake.audit import read_record
from lake_assets.lake.contract import Commit
from lake_assets_tests.cli.conftest import Command
from lake_assets_tests.small_graph import SmallGraph

Answer = Callable[..., Any]
Refused = Callable[..., str]


@pytest.fixture(autouse=True)
def _code_location(graph: SmallGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(definitions, "defs", graph.defs)


def main() -> Commit:
    lake = environments.open_lake()
    head = lake.head("main")
    lake.close()
    return head


def test_it_shows_the_diff_asks_and_rolls_back(graph: SmallGraph, command: Command) -> None:
    graph.publish("mon", 1.0)
    before = main().id
    graph.publish("mon", 2.0)
    head = main()
    asked = CliRunner().invoke(app, ["rollback", "prices", "--to", before], input="n\n")
    assert asked.exit_code == 1
    assert "changed  prices/partition=mon/" in asked.stdout
    assert "Roll prices back on main? [y/N]: " in asked.stdout
    assert main() == head
    done = CliRunner().invoke(
        app, ["rollback", "prices", "--to", before, "--by", "ann", "--reason", "a mistake"], input="y\n"
    )
    assert done.exit_code == 0, done.output
    found = main().metadata
    assert (found["rollback_to"], found["by"], found["reason"]) == (before, "ann", "a mistake")
    assert "by ann: a mistake" in command("log", "main", "--limit", "1").stdout
    assert "by ann" in command("lineage", "prices").stdout
    assert read_record(main().metadata) == [{"asset": "prices", "partitions": "mon", "count": 1, "back_to": before}]
    assert f"Rolled back prices to {before}: 2 path(s) changed on main, commit {main().id}\n" in done.stdout
    assert "2 materialization(s) reported to Dagster." in done.stdout
    assert "Assets: prices mon. Publications: prices_published mon.\n" in done.stdout
    assert (
        "Not updated yet: prices_table. Sinks follow when Dagster's daemon runs (sensor sinks_follow_main)"
        in done.stdout
    )
    again = command("rollback", "prices", "--to", before).stdout
    assert again == f"prices is as it was at {before} already: nothing to roll back\n"
    lineage = command("lineage", "prices").stdout.splitlines()
    assert f"back to {before[:12]}  reason: a mistake" in lineage[1]
    assert f"prices mon: back to {before[:12]}" in lineage[2]
    assert "run " in lineage[3]
    assert command("verify").exit_code == 0


def test_json_only_shows_unless_yes_is_given(graph: SmallGraph, answer: Answer) -> None:
    before = main().id
    graph.publish("mon", 1.0)
    head = main()
    shown = answer("rollback", "--all", "--to", before)
    assert (shown["rolled_back"], shown["commit"], len(shown["removed"])) == (False, head.id, 4)
    assert main() == head
    done = answer("rollback", "--all", "--to", before, "--yes")
    assert (done["rolled_back"], done["commit"], done["reported"]) == (True, main().id, 3)
    assert not answer("rollback", "--all", "--to", before, "--yes")["rolled_back"]


def test_what_cannot_be_rolled_back_is_one_line(refused: Refused, command: Command) -> None:
    before = main().id
    assert "nothing" in refused("rollback", "nothing", "--to", before)
    assert "nowhere" in refused("rollback", "prices", "--to", "nowhere")
    for wrong in (["prices", "--all", "--to", before], ["--to", before], ["prices"]):
        assert command("rollback", *wrong).exit_code == 2


def test_with_sinks_the_tables_are_brought_along_at_once(graph: SmallGraph, command: Command, answer: Answer) -> None:
    graph.publish("mon", 1.0)
    before = main().id
    graph.publish("mon", 2.0)
    graph.run("prices_table", partition_key="mon")
    assert answer("get", "prices_table", "DE0")["price"] == 2.0
    done = command("rollback", "prices", "--to", before, "--yes", "--sinks")
    assert done.exit_code == 0, done.output
    assert done.stdout.endswith("Updated to main: prices_table\n")
    assert "as before" not in done.stdout
    assert answer("get", "prices_table", "DE0")["price"] == 1.0
    again = command("rollback", "prices", "--to", before, "--yes", "--sinks").stdout
    assert again.endswith("nothing to roll back\nEvery sink is up to date with main already.\n")


def test_a_rollback_whose_sinks_were_left_is_finished_by_asking_again(graph: SmallGraph, answer: Answer) -> None:
    graph.publish("mon", 1.0)
    before = main().id
    graph.publish("mon", 2.0)
    graph.run("prices_table", partition_key="mon")
    assert "sinks" not in answer("rollback", "prices", "--to", before, "--yes")
    assert answer("get", "prices_table", "DE0")["price"] == 2.0
    assert answer("rollback", "prices", "--to", before, "--sinks")["sinks"] == ["prices_table"]
    assert answer("get", "prices_table", "DE0")["price"] == 1.0


@pytest.mark.parametrize("partition", ["mon", "partition=mon"])
def test_one_partition_goes_back_and_the_others_stay(graph: SmallGraph, answer: Answer, partition: str) -> None:
    graph.publish_range("mon", "tue", 1.0)
    before = main().id
    graph.publish_range("mon", "tue", 2.0)
    done = answer("rollback", f"prices/{partition}", "--to", before, "--yes")
    assert (done["rolled_back"], done["reported"]) == (True, 2)
    assert {path.rpartition("/")[0] for path in done["changed"]} == {"prices/partition=mon"}
    prices = {row["partition"]: row["price"] for row in answer("cat", "main:prices")}
    assert prices == {"mon": 1.0, "tue": 2.0}


def test_a_user_without_a_name_is_named_by_number(graph: SmallGraph, command: Command, monkeypatch: Any) -> None:
    """As in a container that runs with any uid."""

    def unknown() -> str:
        raise KeyError("getpwuid(): uid not found: 1000")

    graph.publish("mon", 1.0)
    before = main().id
    graph.publish("mon", 2.0)
    monkeypatch.setattr("getpass.getuser", unknown)
    assert command("rollback", "prices", "--to", before, "--yes").exit_code == 0
    assert main().metadata["by"] == f"uid {os.getuid()}"
