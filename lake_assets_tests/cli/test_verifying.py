"""`verify`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest
from dagster import DagsterEvent, DagsterEventType, DagsterInstance, DagsterRunStatus
from dagster._core.events import JobFailureData

from lake_assets import definitions, environments
from lake_assets.lake.contract import Lake
from lake_assets_tests.audits import TESTS
from lake_assets_tests.cli.conftest import Command, both_lakes
from lake_assets_tests.lake.backends import put
from lake_assets_tests.small_graph import SmallGraph

Answer = Callable[..., Any]


def problems(command: Command, ref: str = "main") -> list[tuple[str, str]]:
    """Return path and reason of each problem; the exit code must fit."""
    result = command("verify", ref, "--json")
    found = json.loads(result.stdout)["problems"]
    assert result.exit_code == (1 if found else 0), result.stderr
    return [(problem["path"], problem["reason"]) for problem in found]


def change(lake: Lake, metadata: dict[str, str], content: bytes = b"x", name: str = "prices/partition=mon") -> None:
    """Write one file in place of all that a folder held, by no IO manager, and merge it."""
    lake.create_branch("mine", "main")
    put(lake, "mine", name, {"mine.txt": content}, metadata=metadata)
    lake.merge("mine", "main", audit=TESTS)
    lake.delete_branch("mine")


@pytest.fixture
def published(graph: SmallGraph) -> SmallGraph:
    """Two days, published by one run."""
    graph.publish_range("mon", "tue", 1.0, 2.0)
    return graph


@both_lakes
def test_what_runs_published_has_no_problem(command: Command, answer: Answer, published: SmallGraph) -> None:
    published.publish("mon", 1.0)
    published.publish("mon", 1.0)
    assert problems(command) == []
    assert answer("verify")["places"] == 4
    result = command("verify")
    assert (result.exit_code, result.stdout) == (0, "")
    assert ": 4 place(s), 8 file(s), no problem(s); 8 file(s) hashed, " in result.stderr
    assert answer("verify")["hashed"] == 8


def test_a_sample_says_which_files_it_read(command: Command, answer: Answer, published: SmallGraph) -> None:
    found = answer("verify", "--sample", "25", "--rate", "100")
    assert (found["hashed"], found["skipped"], found["unhashed"]) == (2, 6, [])
    assert "2 file(s) hashed, 6 not in the sample" in command("verify", "--sample", "25").stderr


def test_a_damaged_file_is_named(command: Command, published: SmallGraph) -> None:
    lake = environments.open_lake()
    (item,) = [item for item in lake.list("main", "raw/partition=mon") if item.path.endswith(".csv")]
    lake.close()
    stored = Path(urlparse(item.physical_address).path)
    stored.chmod(0o644)
    stored.write_bytes(stored.read_bytes()[::-1])
    ((path, reason),) = problems(command)
    assert path == item.path
    assert item.checksum.partition(":")[2] in reason
    stored.unlink()
    ((path, reason),) = problems(command)
    assert (path, "cannot be read" in reason) == (item.path, True)


def test_what_no_run_of_ours_wrote_is_named(command: Command, published: SmallGraph) -> None:
    lake = environments.open_lake()
    change(lake, {}, name="prices/partition=mon/more")
    change(lake, {}, name="notes")
    lake.close()
    found = dict(problems(command))
    assert found.pop("prices/partition=mon/more/mine.txt") == "no manifest lists it"
    (reason,) = found.values()
    assert "which no run made" in reason
    assert list(found) == ["prices/partition=mon"]
    lake = environments.open_lake()
    change(lake, {}, name="raw")
    lake.close()
    assert ("raw/mine.txt", "lies at an asset's prefix, and no manifest lists it") in problems(command)


@both_lakes
def test_a_run_that_dagster_does_not_know_is_no_problem_unless_that_is_said(
    command: Command, answer: Answer, graph: SmallGraph, instance: DagsterInstance
) -> None:
    graph.publish("mon", 1.0)
    run_id = graph.publish("tue", 1.0).run_id
    instance.delete_run(run_id)
    assert problems(command) == []
    found = answer("verify")["unknown"]
    assert {place["path"] for place in found} == {"raw/partition=tue", "prices/partition=tue"}
    assert all(f"run {run_id}, unknown to this Dagster" in place["reason"] for place in found)
    assert command("verify").stderr.endswith(
        "2 place(s) were made by runs unknown to this Dagster: --strict shows them\n"
    )
    strict = command("verify", "--strict")
    assert (strict.exit_code, len(strict.stdout.splitlines())) == (1, 2)


@both_lakes
def test_without_the_dagster_that_made_it_a_lake_is_not_red_for_good(
    command: Command,
    answer: Answer,
    graph: SmallGraph,
    new_dagster_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = graph.publish("mon", 1.0) and environments.open_lake().head("main").id
    graph.publish("mon", 2.0)
    monkeypatch.setattr(definitions, "defs", graph.defs)
    assert command("rollback", "prices", "--to", before, "--yes").exit_code == 0
    assert command("delete", "raw", "--yes", "--reason", "x").exit_code == 0
    monkeypatch.setenv("DAGSTER_HOME", str(shutil.copytree(new_dagster_home, tmp_path / "another")))
    assert problems(command) == []
    assert [place["path"] for place in answer("verify")["unknown"]] == ["prices/partition=mon"]


@both_lakes
def test_two_dagsters_publish_to_one_lake_and_neither_sweeps_or_misses_what_is_the_others(
    command: Command,
    answer: Answer,
    graph: SmallGraph,
    new_dagster_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph.publish("mon", 1.0)
    waiting = graph.run("raw", partition_key="mon").run_id
    first = environments.open_lake()
    other_home = shutil.copytree(new_dagster_home, tmp_path / "another")
    with DagsterInstance.from_config(str(other_home)) as instance:
        other = SmallGraph(tmp_path / "other", instance)
        other.publish("tue", 2.0)
        graph.publish("wed", 3.0)
        other.publish("mon", 4.0)
    unknown = {"own": {"raw/partition=mon", "raw/partition=tue", "prices/partition=mon", "prices/partition=tue"}}
    unknown["other"] = {"raw/partition=wed", "prices/partition=wed"}
    for whose, home in (("own", graph.instance.root_directory), ("other", str(other_home))):
        monkeypatch.setenv("DAGSTER_HOME", home)
        assert problems(command) == []
        assert {place["path"] for place in answer("verify")["unknown"]} == unknown[whose]
        answer("sweep", "--older-than", "0")
        answer("clean", "--yes", "--no-caches") if whose == "other" else None
        assert f"run-{waiting}" in first.branches()
    first.close()


def test_what_a_lake_lacks_that_was_restored_from_an_older_backup_is_named(
    command: Command, answer: Answer, graph: SmallGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph.publish("mon", 1.0)
    answer("backup", str(tmp_path / "backup"))
    tue = graph.publish("tue", 1.0)
    graph.publish("mon", 2.0)
    assert problems(command) == []
    answer("restore", str(tmp_path / "backup"), "--replace")
    found = dict(problems(command))
    assert set(found) == {"prices mon", "prices tue", "raw mon", "raw tue"}
    assert f"run {tue.run_id} materialized it as commit" in found["prices tue"]
    # In another folder the lake has another name, and is the same lake all the same.
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "elsewhere"))
    answer("restore", str(tmp_path / "backup"))
    assert set(dict(problems(command))) == set(found)
    # What is materialized again is not missed any more.
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "home"))
    again = SmallGraph(tmp_path / "again", graph.instance)
    again.publish_range("mon", "tue", 2.0)
    assert problems(command) == []


def test_a_rollback_and_a_deletion_that_a_restored_lake_has_forgotten_are_named(
    command: Command, answer: Answer, graph: SmallGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they took back is on main again."""
    monkeypatch.setattr(definitions, "defs", graph.defs)
    graph.publish("mon", 1.0)
    with closing(environments.open_lake()) as lake:
        before = lake.head("main").id
    graph.publish("tue", 1.0)
    graph.publish("wed", 1.0)
    answer("backup", str(tmp_path / "backup"))
    answer("rollback", "raw/tue", "--to", before, "--yes")
    answer("delete", "prices/wed", "--reason", "sent by mistake", "--yes")
    assert problems(command) == []
    answer("restore", str(tmp_path / "backup"), "--replace")
    found = dict(problems(command))
    assert set(found) == {"raw tue", "prices wed"}
    # What a run writes and does not publish changes nothing.
    graph.write_source("tue", 3.0)
    graph.run("raw", partition_key="tue")
    assert "raw tue" in dict(problems(command))
    assert "it was rolled back, deleted or merged by commit" in found["raw tue"]
    # Done again, or published anew, it is not missed any more.
    answer("rollback", "raw/tue", "--to", before, "--yes")
    graph.publish("wed", 2.0)
    assert problems(command) == []


def test_what_a_failed_run_has_published_is_missed_too(
    command: Command, answer: Answer, graph: SmallGraph, instance: DagsterInstance, tmp_path: Path
) -> None:
    environments.open_lake().close()
    answer("backup", str(tmp_path / "backup"))
    result = graph.publish("mon", 1.0)
    graph.publish("tue", 1.0)
    failed = DagsterEvent(
        DagsterEventType.PIPELINE_FAILURE.value, result.dagster_run.job_name, event_specific_data=JobFailureData(None)
    )
    instance.report_dagster_event(failed, run_id=result.run_id)
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.status == DagsterRunStatus.FAILURE
    answer("restore", str(tmp_path / "backup"), "--replace")
    assert {path for path, _ in problems(command)} == {"prices mon", "raw mon", "prices tue", "raw tue"}


def test_a_commit_that_says_other_than_the_event_log_is_named(command: Command, published: SmallGraph) -> None:
    lake = environments.open_lake()
    (newest,) = [commit for commit in lake.log("main", None, "raw/partition=mon") if "asset" in commit.metadata][:1]
    held = {
        item.path.rpartition("/")[2]: Path(urlparse(item.physical_address).path).read_bytes()
        for item in lake.list("main", "raw/partition=mon")
    }
    lake.create_branch("mine", "main")
    lied = {"rows": "7", "data_version": "other", "partition": "tue", "asset": "prices"}
    lied |= {"run_id": newest.metadata["run_id"]}
    with lake.write("mine", "raw/partition=mon", metadata=lied) as write:
        for name, content in held.items():
            Path(write.root, name).write_bytes(content + b"\n")
    lake.merge("mine", "main", audit=TESTS)
    lake.close()
    reasons = " ".join(reason for path, reason in problems(command) if path == "raw/partition=mon")
    for said in ("asset prices", "rows 7", "partition tue", "data version other", "id "):
        assert said in reasons, reasons


def test_a_file_of_another_size_than_its_manifest_says_and_a_missing_one_are_named(
    command: Command, published: SmallGraph
) -> None:
    lake = environments.open_lake()
    (manifest,) = [item for item in lake.list("main", "raw/partition=tue") if item.path.endswith(".json")]
    content = Path(urlparse(manifest.physical_address).path).read_text()
    lake.create_branch("mine", "main")
    with lake.write("mine", "raw/partition=tue") as write:
        Path(write.root, "_manifest.json").write_text(content.replace("tue.csv", "other.csv"))
        Path(write.root, "tue.csv").write_text("isin,price\n")
    lake.merge("mine", "main", audit=TESTS)
    lake.close()
    found = problems(command)
    assert ("raw/partition=tue/other.csv", "the manifest lists it, but it is missing") in found
    assert ("raw/partition=tue/tue.csv", "no manifest lists it") in found


def test_a_ref_that_is_not_there_is_one_line(command: Command, published: SmallGraph) -> None:
    result = command("verify", "nowhere")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "nowhere" in result.stderr
