"""`delete`."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from lake_assets import definitions, environments
from lake_assets.cli.app import app
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


def test_it_shows_what_goes_asks_who_and_why_and_deletes(graph: SmallGraph, command: Command) -> None:
    graph.publish("mon", 1.0)
    head = main()
    asked = CliRunner().invoke(app, ["delete", "prices/mon"], input="n\n")
    assert asked.exit_code == 1
    assert "removed  prices/partition=mon/_manifest.json" in asked.stdout
    assert "Delete prices/mon from main? [y/N]: " in asked.stdout
    assert main() == head
    done = CliRunner().invoke(app, ["delete", "prices/mon"], input="y\npersonal data\n")
    assert done.exit_code == 0, done.output
    assert (main().metadata["by"], main().metadata["reason"]) == (getpass.getuser(), "personal data")
    assert f"Deleted prices/mon: 2 path(s) removed from main, commit {main().id}\n" in done.stdout
    assert "2 materialization(s) reported to Dagster." in done.stdout
    assert command("verify").exit_code == 0
    assert "prices/partition=mon" not in command("ls").stdout


def test_json_only_shows_unless_yes_is_given(graph: SmallGraph, answer: Answer) -> None:
    graph.publish("mon", 1.0)
    head = main()
    shown = answer("delete", "prices")
    assert (shown["deleted"], shown["commit"], shown["place"]) == (False, head.id, "prices")
    assert shown["paths"] == ["prices/partition=mon/_manifest.json", "prices/partition=mon/part-00000.parquet"]
    assert main() == head
    done = answer("delete", "prices", "--yes", "--by", "ada", "--reason", "a test")
    assert done == shown | {"deleted": True, "commit": main().id, "reported": 2}
    assert main().metadata["by"] == "ada"


def test_a_deletion_says_why_and_what(graph: SmallGraph, command: Command, refused: Refused) -> None:
    graph.publish("mon", 1.0)
    head = main()
    assert "a deletion needs a reason: give --reason TEXT" in command("delete", "prices", "--yes").stderr
    assert refused("delete", "nothing", "--yes", "--reason", "x") == (
        "main holds nothing at 'nothing': there is nothing to delete."
    )
    assert main() == head
