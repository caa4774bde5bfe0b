"""`clean`."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterRunStatus

from lake_assets import environments
from lake_assets.lake.contract import Lake
from lake_assets.lake.embedded import GitLake
from lake_assets.nosql.contract import NoSQLStore
from lake_assets.nosql.runs import spool
from lake_assets_tests.cli.conftest import Command, both_lakes

ENDED = "eeee0000-0000-4000-8000-000000000001"
OTHERS = "dddd0000-0000-4000-8000-000000000003"
GOING_ON = "ffff0000-0000-4000-8000-000000000002"
Answer = Callable[..., Any]
AddRun = Callable[..., str]


def names(entries: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(entry["kind"], entry["name"]) for entry in entries}


def test_it_says_what_it_would_delete_and_deletes_nothing(
    command: Command, answer: Answer, lake: GitLake, store: NoSQLStore, add_run: AddRun
) -> None:
    add_run(ENDED, DagsterRunStatus.FAILURE)
    lake.path("main", "blob")
    lake.close()
    found = answer("clean")
    assert not found["deleted"]
    assert names(found["found"]) == {
        ("table", "bars"),
        ("table", "latest"),
        ("branch", f"run-{ENDED}"),
        ("cache", "snapshots"),
    }
    details = {entry["name"]: entry["detail"] for entry in found["found"]}
    assert details["latest"] == "2 rows"
    assert details[f"run-{ENDED}"] == "run FAILURE, 1 path(s) differ from main"
    assert found["kept"] == []
    shown = command("clean").stdout
    assert shown.startswith("Would be deleted:\n")
    assert shown.endswith("Nothing was deleted. `lake-assets clean --yes` deletes it.\n")
    assert answer("clean") == found


def test_with_yes_all_of_it_is_gone_and_main_is_as_it_was(
    command: Command, answer: Answer, lake: GitLake, store: NoSQLStore, add_run: AddRun, lake_home: Path
) -> None:
    add_run(ENDED, DagsterRunStatus.SUCCESS)
    before = (lake.head("main"), list(lake.list("main")), lake.head(f"run-{ENDED}").id)
    lake.path("main", "blob")
    lake.close()
    assert command("clean", "--yes").stdout.startswith("Deleted:\n")
    assert command("clean").stdout == "Nothing to delete.\n"
    assert answer("clean", "--yes") == {"deleted": True, "found": [], "kept": []}
    assert store.tables() == ()
    assert lake.branches() == ("main",)
    assert (lake.head("main"), list(lake.list("main")), lake.head(before[2]).id) == before
    assert list(lake.verify("main")) == []
    assert not list((lake_home / "snapshots").glob("[!.]*"))


def test_a_run_that_goes_on_keeps_its_branch_that_of_its_parent_and_the_tables(
    command: Command, answer: Answer, lake: Lake, store: NoSQLStore, add_run: AddRun
) -> None:
    parent = add_run("aaaa1111-0000-4000-8000-000000000003", DagsterRunStatus.FAILURE)
    add_run(GOING_ON, DagsterRunStatus.STARTED, parent=parent)
    add_run(ENDED, DagsterRunStatus.CANCELED)
    done = answer("clean", "--yes")
    assert names(done["found"]) == {("branch", f"run-{ENDED}")}
    assert names(done["kept"]) == {
        ("table", "bars"),
        ("table", "latest"),
        ("branch", f"run-{GOING_ON}"),
        ("branch", f"run-{parent}"),
    }
    assert lake.branches() == ("main", f"run-{parent}", f"run-{GOING_ON}")
    assert len(store.tables()) == 2
    assert f"run {GOING_ON} is still active" in command("clean").stdout


def test_without_dagster_branches_and_tables_are_kept_with_the_reason(
    answer: Answer, lake: Lake, store: NoSQLStore
) -> None:
    lake.create_branch(f"run-{ENDED}", "main")
    done = answer("clean", "--yes")
    assert done["found"] == []
    assert all(entry["reason"].startswith("DAGSTER_HOME is not set") for entry in done["kept"])
    assert len(done["kept"]) == 3


@both_lakes
def test_what_may_be_another_dagsters_is_kept_and_one_of_nobodys_run_is_not_looked_at(
    answer: Answer, lake: Lake, store: NoSQLStore, add_run: AddRun
) -> None:
    lake.create_branch(f"run-{OTHERS}", "main")
    lake.create_branch("trial", "main")
    add_run(ENDED, DagsterRunStatus.FAILURE)
    done = answer("clean", "--yes")
    assert names(done["found"]) == {("branch", f"run-{ENDED}")}
    reasons = {entry["name"]: entry["reason"] for entry in done["kept"]}
    assert "it may belong to another Dagster instance" in reasons[f"run-{OTHERS}"]
    assert reasons["latest"] == reasons["bars"]
    assert f"see branch run-{OTHERS}" in reasons["latest"]
    assert lake.branches() == ("main", f"run-{OTHERS}", "trial")
    assert store.tables() == ("bars", "latest")
    # Its Dagster is lost: a person says so.
    assert answer("sweep", "--older-than", "0")["found"] == []
    (swept,) = answer("sweep", "--older-than", "0", "--unknown-runs")["found"]
    assert swept["name"] == f"run-{OTHERS}"
    assert names(answer("clean", "--yes")["found"]) == {("table", "bars"), ("table", "latest")}


@both_lakes
def test_under_another_dagster_home_nothing_of_a_live_run_is_deleted(
    answer: Answer,
    lake: Lake,
    store: NoSQLStore,
    add_run: AddRun,
    new_dagster_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add_run(GOING_ON, DagsterRunStatus.STARTED)
    monkeypatch.setenv("DAGSTER_HOME", str(shutil.copytree(new_dagster_home, tmp_path / "another")))
    done = answer("clean", "--yes")
    assert done["found"] == []
    assert names(done["kept"]) == {("table", "bars"), ("table", "latest"), ("branch", f"run-{GOING_ON}")}
    assert f"run-{GOING_ON}" in lake.branches()
    assert len(store.tables()) == 2


def test_what_a_live_reader_and_a_live_writer_use_is_left_and_said(
    answer: Answer, lake: GitLake, lake_home: Path
) -> None:
    other = environments.open_lake()
    snapshot = other.path("main", "stocks_parquet")
    lake.create_branch("trial", "main")
    with lake.write("trial", "new") as write:
        Path(write.root, "a.txt").write_text("a")
        done = answer("clean", "--yes")
        assert Path(write.root, "a.txt").exists()
    assert names(done["kept"]) == {("cache", "snapshots"), ("cache", "staging")}
    assert Path(snapshot.root).is_dir()
    other.close()


def test_what_a_killed_writer_of_the_store_spooled_is_deleted_and_a_live_ones_kept(
    answer: Answer, lake: GitLake, lake_home: Path
) -> None:
    dead = lake_home / "nosql" / "spool" / "dead"
    with spool(_made(lake_home / "nosql" / "spool")) as live:
        dead.mkdir()
        (dead / "run").write_bytes(b"12345")
        done = answer("clean", "--yes")
        assert (dead.exists(), live.exists()) == (False, True)
    (found,) = done["found"]
    assert (found["name"], found["frees"]) == ("spool", 5)
    assert names(done["kept"]) == {("cache", "spool")}


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize(
    ("option", "kind"), [("--no-tables", "table"), ("--no-branches", "branch"), ("--no-caches", "cache")]
)
def test_an_option_leaves_one_kind_alone(
    answer: Answer, lake: Lake, store: NoSQLStore, add_run: AddRun, option: str, kind: str
) -> None:
    add_run(ENDED, DagsterRunStatus.SUCCESS)
    lake.path("main", "blob")
    lake.close()
    kinds = {entry["kind"] for entry in answer("clean", option)["found"]}
    assert kinds == {"table", "branch", "cache"} - {kind}


def test_a_lake_that_nobody_has_used_has_nothing_to_delete(command: Command, lake_home: Path) -> None:
    GitLake(lake_home).close()
    assert command("clean", "--yes").stdout == "Nothing to delete.\n"
