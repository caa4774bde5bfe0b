"""`expire`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, ConfigurableResource, Definitions, EnvVar, asset

from lake_assets import definitions
from lake_assets.lake.contract import Commit
from lake_assets.lake.embedded import GitLake
from lake_assets.lake.lakefs import LakeFSLake
from lake_assets_tests import lakefs_server
from lake_assets_tests.audits import TESTS
from lake_assets_tests.cli.conftest import Command
from lake_assets_tests.lakefs_server import CREDENTIALS


@pytest.fixture
def replaced(lake: GitLake, head: Commit) -> str:
    """What `main` held before its text file was replaced."""
    lake.create_branch("next", "main")
    with lake.write("next", "stocks_csv/hour=08") as write:
        Path(write.root, "bars.csv").write_text("ISIN,Name\n")
    lake.merge("next", "main", audit=TESTS)
    lake.delete_branch("next")
    return head.id


def test_it_says_what_it_would_free_and_frees_it(
    command: Command, answer: Callable[..., Any], refused: Callable[..., str], lake: GitLake, replaced: str
) -> None:
    assert command("expire", "--older-than", "90d").stdout.startswith("Nothing to expire")
    told = answer("expire", "--older-than", "0d")
    assert (told["removed"], told["found"]["count"]) == (False, 1)
    assert answer("expire", "--older-than", "0d", "--keep-prefix", "stocks_csv")["found"]["count"] == 0
    assert answer("expire", "--older-than", "0d", "--keep", replaced)["found"]["count"] == 0
    assert "Nothing was removed" in command("expire", "--older-than", "0d").stdout
    assert command("expire", "--older-than", "0d", "--yes").stdout.startswith("Freed:\n")
    assert "its data expired at" in refused("cat", f"{replaced}:stocks_csv/hour=08/bars.csv")
    assert command("cat", "main:stocks_csv/hour=08/bars.csv").stdout
    assert lake.head(replaced).id == replaced


def test_what_a_table_reflects_stays(
    command: Command, answer: Callable[..., Any], store: Any, lake: GitLake, replaced: str
) -> None:
    import pandas

    for table in ("latest", "bars"):
        store.drop(table)
    store.write("latest", pandas.DataFrame({"ISIN": ["DE1"]}), key=["ISIN"], source_commit=replaced)
    assert answer("expire", "--older-than", "0d", "--yes")["found"]["count"] == 0
    assert lake.path(replaced, "stocks_csv")
    for yes in ([], ["--yes"]):
        assert answer("expire", "--older-than", "0d", *yes)["held_by"] == [
            {"held_by": "table latest", "commit": replaced}
        ]
    shown = command("expire", "--older-than", "0d").stdout
    assert f"table latest  {replaced}\n" in shown


class Elsewhere(ConfigurableResource[None]):
    """A sink of somebody's own, with a secret."""

    commit: str
    token: str

    def reflected_commit(self, asset_key: AssetKey) -> str | None:
        del asset_key
        return self.commit if self.token == "secret" else None


def test_what_any_other_sink_reflects_stays(
    answer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, lake: GitLake, replaced: str
) -> None:
    @asset(tags={"layer": "sink"}, required_resource_keys={"elsewhere"})
    def feed() -> None: ...

    monkeypatch.setenv("ELSEWHERE_TOKEN", "secret")
    elsewhere = Elsewhere(commit=replaced, token=EnvVar("ELSEWHERE_TOKEN"))
    monkeypatch.setattr(definitions, "defs", Definitions(assets=[feed], resources={"elsewhere": elsewhere}))
    told = answer("expire", "--older-than", "0d", "--yes")
    assert (told["found"]["count"], told["held_by"]) == (0, [{"held_by": "sink feed", "commit": replaced}])
    assert lake.path(replaced, "stocks_csv")


def test_it_names_what_holds_old_data_back(answer: Callable[..., Any], lake: GitLake, replaced: str) -> None:
    (young,) = answer("expire", "--older-than", "90d")["held_by"]
    assert young["held_by"] == "commits that are not older"
    lake.tag("v1", replaced)
    lake.create_branch("run-1", replaced)
    with lake.write("run-1", "notes") as write:
        Path(write.root, "new.txt").write_text("new")
    told = answer("expire", "--older-than", "0d", "--keep", replaced)
    assert told["found"]["count"] == 0
    needed = {holder["held_by"]: holder["commit"] for holder in told["held_by"]}
    assert needed == {
        "tag v1": replaced,
        "branch run-1": lake.head("run-1").id,
        "beginning of branch run-1": replaced,
        "--keep": replaced,
    }


@pytest.mark.parametrize("yes", [[], ["--yes"]])
def test_a_prefix_that_nothing_ever_lay_at_is_refused(
    refused: Callable[..., str], lake: GitLake, replaced: str, yes: list[str]
) -> None:
    told = refused("expire", "--older-than", "0d", "--keep-prefix", "stocks_csv", "--keep-prefix", "stock_csv", *yes)
    assert "no commit has ever had data there" in told
    assert "'stock_csv'" in told
    lake.close()
    assert lake.path(replaced, "stocks_csv")


def test_an_age_that_is_none_is_refused(command: Command) -> None:
    assert command("expire", "--older-than", "soon").exit_code == 2


@pytest.mark.services
def test_on_lakefs_it_sets_the_rule_and_names_the_job(
    command: Command, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint, _, repository = lakefs_server.fresh_repository().rpartition("/")
    monkeypatch.setattr(
        "lake_assets.environments.open_lake", lambda **_: LakeFSLake(endpoint, *CREDENTIALS, repository, deadline=20)
    )
    lake = LakeFSLake(endpoint, *CREDENTIALS, repository, deadline=20)
    assert "With --yes" in command("expire", "--older-than", "90d").stdout
    assert "lakeFS's own job" in command("expire", "--older-than", "90d", "--yes").stdout
    assert lake.api.call("GET", "/settings/gc_rules")["default_retention_days"] == 90
    assert "do not give" in refused("expire", "--older-than", "90d", "--keep", "v1")
