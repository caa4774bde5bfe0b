"""Operations on a lake on lakeFS: a server that was restored from an older backup, and housekeeping beside branches."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance

from lake_assets import definitions, environments
from lake_assets.lake.errors import ProtectedBranch
from lake_assets_tests import lakefs_server
from lake_assets_tests.cli.conftest import Command
from lake_assets_tests.cli.test_verifying import problems
from lake_assets_tests.lake.backends import paths, put
from lake_assets_tests.lakefs_server import LakeFSServer
from lake_assets_tests.runs.test_sinks import run as follow
from lake_assets_tests.runs.test_sinks import table
from lake_assets_tests.small_graph import SmallGraph

pytestmark = [pytest.mark.services, pytest.mark.parametrize("lake_home", ["lakefs"], indirect=True)]

Answer = Callable[..., Any]
Refused = Callable[..., str]

DEV = "dev-ana"


@pytest.fixture
def server(lake_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LakeFSServer]:
    """A server of the test's own."""
    server = lakefs_server.own_server()
    server.start()
    monkeypatch.setenv("LAKEFS_ENDPOINT", server.endpoint)
    yield server
    server.stop()
    shutil.rmtree(server.folder)


@pytest.mark.soak
def test_after_the_server_was_restored_from_an_older_backup_what_main_lacks_is_named_refused_and_made_again(
    server: LakeFSServer,
    instance: DagsterInstance,
    command: Command,
    answer: Answer,
    refused: Refused,
    tmp_path: Path,
) -> None:
    graph = SmallGraph(tmp_path / "source", instance)
    graph.publish("mon", 1.0)
    answer("backup", str(tmp_path / "older"))
    server.stop()
    shutil.copytree(server.folder, tmp_path / "server")
    server.start()
    tue = graph.publish("tue", 5.0, 6.0)
    assert graph.run("prices_table", partition_key="tue").success
    answer("backup", str(tmp_path / "newer"))
    assert problems(command) == []

    server.stop()
    shutil.rmtree(server.folder)
    shutil.copytree(tmp_path / "server", server.folder)
    server.start()
    graph = SmallGraph(tmp_path / "source", instance)
    # The tables' backup is newer than the server.
    assert "lacks commit" in refused("restore", str(tmp_path / "newer"), "--replace")
    found = dict(problems(command))
    assert set(found) == {"prices tue", "raw tue"}
    assert f"run {tue.run_id} materialized it as commit" in found["prices tue"]

    late = graph.run("prices_table", partition_key="tue", raise_on_error=False)
    (failure,) = [event for event in late.all_events if event.is_step_failure]
    assert "main never held tue of prices, so prices_table was brought to what" in str(failure.step_failure_data)
    assert late.get_asset_materialization_events() == []
    assert table() == {"DE0": 1.0}
    assert graph.publish("tue", 7.0).success
    (request,) = graph.tick("sinks_follow_main", None).run_requests or []
    follow(graph, request)
    assert table() == {"DE0": 7.0}
    assert problems(command) == []
    assert answer("restore", str(tmp_path / "older"), "--replace")["copied"]["missing"] == []


def test_housekeeping_beside_a_working_branch_keeps_what_it_holds(
    graph: SmallGraph,
    command: Command,
    answer: Answer,
    refused: Refused,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(definitions, "defs", graph.defs)
    monkeypatch.setenv("WORDS_SINK", str(tmp_path / "counts"))
    graph.publish("mon", 1.0)
    assert command("branch", "create", DEV).exit_code == 0
    on_dev = {"lake/branch": DEV}
    for prices in ([3.0], [4.0, 5.0]):
        assert graph.publish("tue", *prices, tags=on_dev).success
    assert graph.run("prices_table", partition_key="tue", tags=on_dev).success
    with closing(environments.open_lake()) as lake:
        head, held = lake.head(DEV), paths(lake, DEV)
        # A run that nobody knows has begun there, and somebody's branch.
        lake.create_branch("run-dddd0000-0000-4000-8000-000000000001", DEV)
        lake.create_branch("trial", DEV)
        swept = answer("sweep", "--unknown-runs", "--older-than", "0")["found"]
        assert [branch["name"] for branch in swept] == ["run-dddd0000-0000-4000-8000-000000000001"]
        assert {entry["kind"] for entry in answer("clean", "--yes", "--no-tables")["found"]} <= {"cache"}
        # The rule of the server keeps heads of branches, and what the branch's table reflects.
        assert answer("expire", "--older-than", "0d", "--yes")["default_retention_days"] == 1
        assert "own garbage collection job" in refused("gc", "--yes")
        backup = answer("backup", str(tmp_path / "backup"))
        assert backup["branches"] == {"main": lake.head("main").id, DEV: head.id, "trial": head.id}
        assert backup["tables"] == {f"prices_table--{DEV}": head.id}
        assert (lake.head(DEV), paths(lake, DEV), lake.protected_branches()) == (head, held, (DEV, "main"))
        assert problems(command, DEV) == problems(command) == []
        with pytest.raises(ProtectedBranch):
            put(lake, DEV, "stray", {"a": "1"})
    assert json.loads((tmp_path / "backup" / "backup.json").read_text())["branches"][DEV] == head.id
