"""`publish`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, DagsterInstance, DagsterRunStatus

from lake_assets import definitions, environments
from lake_assets.lake.audit import read_record
from lake_assets.lake.contract import Lake
from lake_assets.lake.embedded import GitLake
from lake_assets_tests.audits import TESTS
from lake_assets_tests.cli.conftest import Command
from lake_assets_tests.lake.backends import put
from lake_assets_tests.small_graph import SmallGraph

RUN = "bbbb0000-0000-4000-8000-000000000001"
OTHER = "bbcc0000-0000-4000-8000-000000000002"
OVERRIDE = ("--override", "belongs_to_an_asset", "--by", "ann", "--reason", "looked at")
"""What these runs wrote is of no asset of the code location."""

Answer = Callable[..., Any]
Refused = Callable[..., str]
AddRun = Callable[..., str]


@pytest.mark.parametrize("given", [RUN, "bbbb", f"run-{RUN}"])
def test_a_run_is_published_by_its_id_or_its_beginning(
    answer: Answer, lake: GitLake, add_run: AddRun, given: str
) -> None:
    add_run(RUN, DagsterRunStatus.FAILURE)
    assert answer("publish", given, *OVERRIDE) == {
        "run": RUN,
        "published": True,
        "merged": True,
        "commit": lake.head("main").id,
        "paths_changed": 1,
    }
    assert lake.branches() == ("main",)
    assert [item.path for item in lake.list("main", "asset_bbbb")] == ["asset_bbbb/data.txt"]


def test_what_no_check_passed_on_is_refused_with_its_commit_and_the_remedy(
    refused: Refused, lake: GitLake, add_run: AddRun
) -> None:
    add_run(RUN, DagsterRunStatus.SUCCESS)
    head, made = lake.head("main"), lake.head(f"run-{RUN}")
    line = refused("publish", RUN)
    assert f"'asset_bbbb/data.txt' (commit {made.id}" in line
    assert "--override belongs_to_an_asset" in line
    assert (lake.head("main"), f"run-{RUN}" in lake.branches()) == (head, True)


def test_an_override_says_who_and_why_and_stands_in_the_commit(
    command: Command, refused: Refused, lake: GitLake, add_run: AddRun
) -> None:
    add_run(RUN, DagsterRunStatus.SUCCESS)
    assert "give --reason" in command("publish", RUN, "--override", "belongs_to_an_asset").stderr
    unknown = refused("publish", RUN, "--override", "no_such_check", "--reason", "because")
    assert unknown.startswith("No blocking check is called 'no_such_check'")
    assert command("publish", RUN, *OVERRIDE).exit_code == 0
    assert read_record(lake.head("main").metadata) == [
        {
            "paths": ["asset_bbbb/data.txt"],
            "overridden": ["belongs_to_an_asset"],
            "by": "ann",
            "reason": "looked at",
        }
    ]


def test_publishing_twice_says_so_and_is_one_merge(command: Command, lake: GitLake, add_run: AddRun) -> None:
    add_run(RUN, DagsterRunStatus.SUCCESS)
    first = command("publish", RUN, *OVERRIDE).stdout
    head = lake.head("main").id
    assert first == f"Published run {RUN}: 1 path(s) changed on main, commit {head}\n"
    assert command("publish", RUN).stdout == f"Run {RUN} was published already, as commit {head}\n"
    assert lake.head("main").id == head


def test_sinks_that_read_what_is_published_are_named_or_brought_along(
    graph: SmallGraph, command: Command, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(definitions, "defs", graph.defs)
    graph.publish("mon", 1.0)
    graph.run("prices_table", partition_key="mon")
    graph.write_source("mon", 2.0)
    run_id = graph.run("raw", "prices", partition_key="mon").run_id
    said = command("publish", run_id).stdout
    assert said.startswith(f"Published run {run_id}: ")
    assert "\nNot updated yet: prices_table. Sinks follow when Dagster's daemon runs" in said
    assert answer("publish", run_id, "--sinks")["sinks"] == ["prices_table"]
    assert command("publish", run_id, "--sinks").stdout.endswith("Every sink is up to date with main already.\n")


def test_a_run_without_a_branch_has_nothing_to_publish(command: Command, lake: GitLake, add_run: AddRun) -> None:
    add_run(RUN, DagsterRunStatus.SUCCESS, branch=False)
    assert command("publish", RUN).stdout.startswith(f"Run {RUN} has nothing to publish; main is at commit ")


def test_an_ambiguous_beginning_is_refused(refused: Refused, add_run: AddRun) -> None:
    add_run(RUN, DagsterRunStatus.SUCCESS)
    add_run(OTHER, DagsterRunStatus.SUCCESS)
    assert refused("publish", "bb") == f"'bb' matches the ids of 2 runs: {RUN}, {OTHER}; give more of the id"


def test_a_run_that_may_still_write_is_refused(refused: Refused, lake: GitLake, add_run: AddRun) -> None:
    add_run(RUN, DagsterRunStatus.STARTED)
    assert refused("publish", RUN).startswith(f"run {RUN} is STARTED and may still write")
    assert f"run-{RUN}" in lake.branches()


def test_a_conflict_is_one_line_that_names_the_path(refused: Refused, lake: GitLake, add_run: AddRun) -> None:
    for run_id in (RUN, OTHER):
        add_run(run_id, DagsterRunStatus.SUCCESS)
        with lake.write(f"run-{run_id}", "shared") as write:
            Path(write.root, "data.txt").write_text(run_id)
    lake.merge(f"run-{OTHER}", "main", metadata={"run_id": OTHER}, audit=TESTS)
    line = refused("publish", RUN, *OVERRIDE)
    assert "cannot be published" in line
    assert "'shared/data.txt'" in line
    assert f"run-{RUN}" in lake.branches()


def test_an_unknown_run_is_refused(refused: Refused, lake: GitLake, instance: DagsterInstance) -> None:
    assert refused("publish", "dddd").startswith("there is no branch or run 'dddd'")


def test_a_branch_of_another_dagsters_run_names_dagster_home(
    refused: Refused, lake: GitLake, instance: DagsterInstance
) -> None:
    lake.create_branch(f"run-{RUN}", "main")
    assert f"does not know run {RUN}: set DAGSTER_HOME to that of its launch" in refused("publish", "bbbb")


def test_the_branch_of_a_lost_run_is_published_by_an_override_alone(
    command: Command, answer: Answer, refused: Refused, graph: SmallGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its run was deleted, so nothing but the branch is left. Its data are reported as of no run."""
    monkeypatch.setattr(definitions, "defs", graph.defs)
    graph.write_source("mon", 1.0)
    run_id = graph.run("raw", "prices", partition_key="mon").run_id
    graph.instance.delete_run(run_id)
    graph.instance.wipe_assets([AssetKey("raw"), AssetKey("prices")])
    lake = GitLake(environments.lake_home())
    merge = lake.create_branch("unchecked", f"run-{run_id}")
    with lake.write("unchecked", "stray") as write:
        Path(write.root, "data.txt").write_text("x")
    lake.delete_branch(f"run-{run_id}")
    lake.create_branch(f"run-{run_id}", "unchecked")
    lake.delete_branch("unchecked")
    line = refused("publish", run_id)
    assert line.startswith(f"Dagster in {graph.instance.root_directory} does not know run {run_id}: set DAGSTER_HOME")
    assert "--override belongs_to_an_asset" in line
    done = answer("publish", run_id, *OVERRIDE)
    assert (done["published"], done["merged"]) == (True, True)
    head = lake.head("main")
    assert (head.id, head.metadata["run_id"]) == (done["commit"], run_id)
    assert (read_record(head.metadata) or [])[-1]["by"] == "ann"
    assert merge.id in {commit.id for commit in lake.log("main")}
    assert lake.branches() == ("main",)
    for asset in ("raw", "prices"):
        event = graph.instance.get_latest_materialization_event(AssetKey(asset))
        assert event is not None
        assert (event.run_id, event.asset_materialization and event.asset_materialization.partition) == ("", "mon")
    assert command("verify").exit_code == 0
    assert answer("publish", run_id, *OVERRIDE)["merged"] is False


@pytest.mark.services
def test_on_lakefs_the_branch_of_a_lost_run_is_kept_until_a_person_publishes_or_sweeps_it(
    on_lakefs: Lake, answer: Answer, refused: Refused, instance: DagsterInstance
) -> None:
    for run_id in (RUN, OTHER):
        on_lakefs.create_branch(f"run-{run_id}", "main")
        put(on_lakefs, f"run-{run_id}", f"notes_{run_id[:4]}", {"data.txt": run_id})
    kept = {entry["name"] for entry in answer("clean", "--yes")["kept"]}
    assert kept >= {f"run-{RUN}", f"run-{OTHER}"}
    assert answer("sweep", "--older-than", "0")["found"] == []
    assert "does not know run" in refused("publish", RUN)
    assert answer("publish", RUN, *OVERRIDE)["merged"] is True
    assert [item.path for item in on_lakefs.list("main", "notes_bbbb")] == ["notes_bbbb/data.txt"]
    assert answer("verify")["problems"] == []
    swept = {branch["name"] for branch in answer("sweep", "--older-than", "0", "--unknown-runs")["found"]}
    assert swept == {f"run-{OTHER}"}
    assert on_lakefs.branches() == ("main",)


def test_a_dagster_that_does_not_open_is_one_short_line(
    refused: Refused, lake: GitLake, instance: DagsterInstance
) -> None:
    Path(instance.root_directory, "dagster.yaml").write_text("nothing: known\n")
    line = refused("publish", RUN)
    assert line.startswith(f"Dagster's instance in DAGSTER_HOME {instance.root_directory} cannot be opened: ")
    assert len(line) < 500


@pytest.mark.parametrize("home", [None, "", "relative", "/nowhere/at/all"])
def test_without_a_dagster_home_the_remedy_is_named(
    refused: Refused, lake: GitLake, monkeypatch: pytest.MonkeyPatch, home: str | None
) -> None:
    if home is not None:
        monkeypatch.setenv("DAGSTER_HOME", home)
    line = refused("publish", RUN)
    assert line.startswith("DAGSTER_HOME is ")
    assert "absolute path" in line
