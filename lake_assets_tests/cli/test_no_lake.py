"""A command in a wrong folder makes nothing there. It names the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake_assets.lake.lakefs import LakeFSLake
from lake_assets_tests import lakefs_server
from lake_assets_tests.cli.conftest import Command

COMMANDS = [
    ["ls"],
    ["log"],
    ["branches"],
    ["diff", "main", "main"],
    ["cat", "main:t"],
    ["path", "main:t"],
    ["lineage", "t"],
    ["verify"],
    ["rollback", "--to", "main", "--all", "--reason", "x"],
    ["publish", "x"],
    ["sweep"],
    ["gc"],
    ["clean"],
    ["expire", "--older-than", "3d"],
    ["migrate"],
    ["delete", "t"],
    ["tables"],
    ["get", "t", "k"],
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: arguments[0])
def test_a_command_without_a_lake_names_the_place_and_makes_nothing(
    arguments: list[str], command: Command, lake_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    before = sorted(tmp_path.iterdir())
    result = command(*arguments)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert str(lake_home) in line
    assert "LAKE_HOME" in line
    assert sorted(tmp_path.iterdir()) == before


def test_doctor_says_that_the_first_run_will_make_it(command: Command, lake_home: Path) -> None:
    lines = [line for line in command("doctor").stdout.splitlines() if line.startswith("ok      lake ")]
    assert len(lines) == 1
    assert str(lake_home) in lines[0]
    assert not (lake_home / "lake.git").exists()


@pytest.mark.services
def test_a_repository_of_a_wrong_name_is_not_made(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint, _, repository = lakefs_server.fresh_repository().rpartition("/")
    key, secret = lakefs_server.CREDENTIALS
    monkeypatch.setenv("LAKE_ENV", "services")
    monkeypatch.setenv("LAKE_NOSQL", "lmdb")
    monkeypatch.setenv("LAKEFS_ENDPOINT", endpoint)
    monkeypatch.setenv("LAKEFS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("LAKEFS_SECRET_ACCESS_KEY", secret)
    monkeypatch.setenv("LAKEFS_REPOSITORY", repository)
    for _ in range(2):
        result = command("ls")
        assert result.exit_code == 1
        assert "LAKEFS_REPOSITORY" in result.stderr
    LakeFSLake(endpoint, key, secret, repository).close()
    assert command("ls").exit_code == 0
