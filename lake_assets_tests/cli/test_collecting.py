"""`gc`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lake_assets.lake.embedded import GitLake
from lake_assets_tests import lakefs_server
from lake_assets_tests.cli.conftest import Command
from lake_assets_tests.lake.backends import LakeSpec


def loose(home: Path) -> list[Path]:
    return list((home / "lake.git" / "objects").glob("??/*"))


def test_it_says_what_it_would_free_and_frees_it(
    command: Command, answer: Callable[..., Any], lake: GitLake, lake_home: Path
) -> None:
    lake.create_branch("swept", "main")
    with lake.write("swept", "stocks_csv") as write:
        Path(write.root, "never_published.csv").write_text("x" * 10_000)
    assert write.commit is not None
    lake.delete_branch("swept")
    before = loose(lake_home)
    told = answer("gc", "--grace", "0")
    assert told["removed"] is False
    kinds = [item["kind"] for item in told["found"]]
    assert kinds == [
        "loose Git object that goes into a pack",
        "Git object that nothing reaches",
        "data object that nothing reaches",
    ]
    assert told["found"][2]["frees"] >= 10_000
    assert loose(lake_home) == before
    assert command("gc").stdout.endswith("Nothing was removed. `lake-assets gc --yes` removes it.\n")
    assert "that goes into a pack" in command("gc", "--yes").stdout
    assert lake.head(write.commit.id) == write.commit  # The grace time is not over.
    done = command("gc", "--yes", "--grace", "0").stdout
    assert done.startswith("Freed:\n")
    assert "data object that nothing reaches" in done
    assert loose(lake_home) == []
    assert command("gc", "--grace", "0").stdout == "Nothing to collect.\n"
    assert list(lake.verify("main")) == []


@pytest.mark.services
def test_on_lakefs_it_names_what_to_do_instead(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    spec = LakeSpec("lakefs", lakefs_server.fresh_repository())
    monkeypatch.setattr("lake_assets.environments.open_lake", lambda **_: spec.open())
    assert "lakeFS has its own garbage collection job" in refused("gc")
    assert "lakeFS has its own garbage collection job" in refused("gc", "--yes")
