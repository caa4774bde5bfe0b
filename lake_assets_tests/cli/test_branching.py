"""`branch create`, `branch list`, `branch delete` and `merge`, and the other commands on a working branch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from dagster import AssetKey, DagsterInstance, DagsterRun, DagsterRunStatus
from typer.testing import CliRunner

from lake_assets import definitions, environments
from lake_assets.cli.app import app
from lake_assets.lake.contract import MAIN, Lake
from lake_assets_tests.cli.conftest import Command
from lake_assets_tests.small_graph import SmallGraph, days_of

Answer = Callable[..., Any]
Refused = Callable[..., str]

DEV = "dev-ana"
ON_DEV = {"lake/branch": DEV}


@pytest.fixture(autouse=True)
def _code_location(graph: SmallGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(definitions, "defs", graph.defs)


@pytest.fixture
def lake(graph: SmallGraph) -> Iterator[Lake]:
    """The lake, whose `main` holds one day."""
    graph.publish("mon", 1.0, 2.0)
    with closing(environments.open_lake()) as lake:
        yield lake


def test_a_branch_is_made_listed_merged_and_deleted(
    lake: Lake, graph: SmallGraph, command: Command, answer: Answer
) -> None:
    main = lake.head(MAIN)
    made = command("branch", "create", DEV)
    assert made.stdout == f"Made the working branch {DEV} at commit {main.id}: runs with LAKE_BRANCH={DEV} work on it\n"
    graph.publish("tue", 3.0, tags=ON_DEV)
    (listed,) = answer("branch", "list")
    assert (listed["name"], listed["commit"], listed["changes"], listed["behind"]) == (DEV, lake.head(DEV).id, 4, 0)
    assert DEV in command("branch", "list").stdout
    merged = command("merge", DEV)
    assert merged.exit_code == 0, merged.output
    assert f"Merged {DEV} into main: 4 path(s) changed, commit {lake.head(MAIN).id}\n" in merged.stdout
    assert "3 materialization(s) reported to Dagster." in merged.stdout
    (record,) = graph.instance.fetch_materializations(AssetKey("prices"), limit=1).records
    assert record.asset_materialization is not None
    state = record.asset_materialization.metadata["lake/published"].value
    assert state == f"yes, by commit {lake.head(MAIN).id}"
    assert command("merge", DEV).stdout == f"main holds all of {DEV} already, at commit {lake.head(MAIN).id}\n"
    assert command("verify").exit_code == 0
    assert command("branch", "delete", DEV).exit_code == 0
    assert lake.branches() == (MAIN,)
    assert days_of(lake, MAIN) == ["mon", "tue"]


def test_a_deletion_asks_where_main_lacks_something_and_drops_the_tables(
    lake: Lake, graph: SmallGraph, command: Command, answer: Answer
) -> None:
    command("branch", "create", DEV)
    graph.publish("tue", 3.0, tags=ON_DEV)
    graph.run("prices_table", partition_key="mon", tags=ON_DEV)
    graph.run("prices_table", partition_key="mon")
    assert answer("branch", "delete", DEV)["deleted"] is False
    asked = CliRunner().invoke(app, ["branch", "delete", DEV], input="n\n")
    assert f"main lacks 4 changed path(s) of {DEV}. Delete it? [y/N]" in asked.stdout
    assert lake.protected_branches() == (DEV, MAIN)
    assert answer("branch", "delete", DEV, "--yes")["tables"] == [f"prices_table--{DEV}"]
    assert lake.branches() == (MAIN,)
    with closing(environments.open_nosql()) as store:
        assert store.tables() == ("prices_table",)


def test_only_working_branches_are_deleted_and_merged(
    lake: Lake, graph: SmallGraph, refused: Refused, instance: DagsterInstance
) -> None:
    graph.write_source("tue", 3.0)
    run = graph.run("raw", "prices", partition_key="tue").run_id
    for name in (MAIN, f"run-{run}", "nowhere"):
        assert "is not a working branch (there are: none)" in refused("branch", "delete", name, "--yes")
    assert "is not a working branch" in refused("merge", f"run-{run}")
    assert "cannot be merged into itself" in refused("merge", MAIN)
    assert "it was not audited" in refused("branch", "create", DEV, "--from", f"run-{run}")
    assert "may not be called main" in refused("branch", "create", "run-me")
    assert lake.branches() == (MAIN, f"run-{run}")
    # Nor is one that a run works on.
    CliRunner().invoke(app, ["branch", "create", DEV])
    instance.add_run(DagsterRun("job", status=DagsterRunStatus.STARTED, tags=ON_DEV))
    assert f"{DEV} is not deleted: run " in refused("branch", "delete", DEV, "--yes")


def test_a_waiting_run_is_published_to_its_own_branch(lake: Lake, graph: SmallGraph, command: Command) -> None:
    command("branch", "create", DEV)
    graph.write_source("tue", 3.0)
    run = graph.run("raw", "prices", partition_key="tue", tags=ON_DEV).run_id
    main = lake.head(MAIN)
    published = command("publish", run)
    assert f"4 path(s) changed on {DEV}, commit {lake.head(DEV).id}" in published.stdout
    assert lake.head(MAIN) == main


@pytest.mark.parametrize("how", ["option", "setting"])
def test_a_rollback_and_a_deletion_are_of_the_branch_that_is_meant(
    lake: Lake, graph: SmallGraph, command: Command, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = lake.head(MAIN)
    command("branch", "create", DEV)
    graph.publish("tue", 3.0, tags=ON_DEV)
    graph.run("prices_table", partition_key="mon", tags=ON_DEV)
    meant = ["--branch", DEV] if how == "option" else []
    if how == "setting":
        monkeypatch.setenv("LAKE_BRANCH", DEV)
    back = command("rollback", "--all", "--to", began.id, "--yes", "--sinks", *meant)
    assert back.exit_code == 0, back.output
    assert f"4 path(s) changed on {DEV}" in back.stdout
    assert f"Updated to {DEV}: prices_table" in back.stdout
    deleted = command("delete", "prices/mon", "--yes", "--reason", "a test", *meant)
    assert f"2 path(s) removed from {DEV}" in deleted.stdout
    assert days_of(lake, DEV) == []
    assert lake.head(MAIN) == began
    assert command("verify", DEV).exit_code == 0
    with closing(environments.open_nosql()) as store:
        assert store.tables() == (f"prices_table--{DEV}",)
        assert store.source_commit(f"prices_table--{DEV}") == lake.head(DEV).parents[0]


def test_a_conflict_is_one_line_with_both_sides(
    lake: Lake, graph: SmallGraph, command: Command, refused: Refused
) -> None:
    command("branch", "create", DEV)
    ours = graph.publish("mon", 5.0, tags=ON_DEV).run_id
    theirs = graph.publish("mon", 6.0).run_id
    line = refused("merge", DEV)
    assert f"{DEV} is not merged into main, which is unchanged" in line
    assert f"on main by run {theirs}, commit " in line
    assert f"on {DEV} by run {ours}, commit " in line


def test_doctor_says_whether_runs_can_begin_at_the_branch(
    lake: Lake, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_BRANCH", DEV)
    (line,) = [line for line in command("doctor").stdout.splitlines() if "LAKE_BRANCH " in line and "begin" in line]
    assert line.startswith("NOT OK")
    assert f"`lake-assets branch create {DEV}` makes it" in line
    command("branch", "create", DEV)
    assert f"{DEV} at {lake.head(DEV).id}" in command("doctor").stdout
