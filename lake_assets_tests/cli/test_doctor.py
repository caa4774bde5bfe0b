"""`doctor`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance

from lake_assets import domains
from lake_assets.cli import env_file
from lake_assets.cli.doctor import shown
from lake_assets.defs.stocks.settings import StocksSettings
from lake_assets.lake.contract import Commit
from lake_assets.lake.embedded import GitLake
from lake_assets.settings import Variable
from lake_assets_tests.cli.conftest import Command


def checks(command: Command, *arguments: str) -> tuple[int, dict[str, tuple[bool, str]]]:
    result = command("doctor", *arguments, "--json")
    return result.exit_code, {entry["name"]: (entry["ok"], entry["detail"]) for entry in json.loads(result.stdout)}


def test_all_is_well_on_a_machine_with_java(command: Command, head: Commit, instance: DagsterInstance) -> None:
    if shutil.which("java") is None:
        pytest.skip("there is no java on PATH")
    code, found = checks(command)
    assert [name for name, (ok, _) in found.items() if not ok] == []
    assert code == 0
    assert {"python", "lake_assets", "dagster", "pyspark", "java", "DAGSTER_HOME", "disk", "nosql"} < found.keys()
    assert head.id in found["lake"][1]
    assert {variable.name for variable in domains.all_variables()} < found.keys()
    assert found["STOCKS_ROWS"][1] == "7500 (default)"
    lines = command("doctor").stdout.splitlines()
    assert len(lines) == len(found)
    assert all(line.startswith("ok      ") for line in lines)


def test_what_is_not_ok_is_said_with_the_remedy_and_exit_code_1(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "no-java"))
    code, found = checks(command)
    assert code == 1
    wrong = {name: detail for name, (ok, detail) in found.items() if not ok}
    assert wrong.keys() >= {"java", "DAGSTER_HOME", "disk", "lake", "nosql"}
    assert "install it" in wrong["java"]
    assert "is not writable" in wrong["disk"]
    assert "NOT OK" in command("doctor").stdout


def test_repair_restores_main_by_one_command(command: Command, lake: GitLake, head: Commit) -> None:
    (Path(lake.repository) / "lake.git" / "refs" / "heads" / "main").write_bytes(b"")
    code, found = checks(command)
    assert code == 1
    assert "`lake-assets doctor --repair`" in found["lake"][1]
    assert command("ls").exit_code == 1
    found = checks(command, "--repair")[1]
    ok, detail = found["lake repair"]
    assert ok
    assert detail.startswith(f"lake.git/refs/heads/main was damaged: it is at {head.id} again, where its reflog saw it")
    assert found["lake"][0]
    assert checks(command, "--repair")[1]["lake repair"] == (True, "nothing is damaged")


def test_repair_takes_data_from_a_backup(command: Command, lake: GitLake, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    shutil.copytree(lake.repository, backup)
    stored = Path(next(lake.list("main")).physical_address.removeprefix("file://"))
    stored.unlink()
    code, found = checks(command, "--repair")
    assert code == 1
    assert "no other copy was found" in found["lake repair"][1]
    assert checks(command, "--repair", "--from", str(backup))[1]["lake repair"][0]
    assert stored.is_file()
    assert command("doctor", "--from", str(backup)).exit_code == 2


def test_verify_finds_a_damaged_object(command: Command, lake: GitLake) -> None:
    assert checks(command, "--verify")[1]["lake objects"][0]
    (item,) = lake.list("main", "blob")
    stored = Path(item.physical_address.removeprefix("file://"))
    stored.chmod(0o644)
    stored.write_bytes(b"!" * item.size)
    code, found = checks(command, "--verify")
    ok, detail = found["lake objects"]
    assert (code, ok) == (1, False)
    assert detail.startswith("1 of 7 are damaged: blob/noise.bin: ")


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ("https://user:word@host/a?token=abc&day={date}", "https://***@host/a?token=***&day={date}"),
        ("../data", "../data"),
    ],
)
def test_credentials_in_a_setting_are_masked(monkeypatch: pytest.MonkeyPatch, value: str, masked: str) -> None:
    monkeypatch.setenv("STOCKS_SOURCE", value)
    assert shown(StocksSettings.variables()[0]) == masked


def test_a_secret_is_masked_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = Variable("A_SECRET_OF_THE_TESTS", "", "A secret.", "", secret=True)
    monkeypatch.setenv(secret.name, "word")
    assert shown(secret) == "***"
    monkeypatch.delenv(secret.name)
    assert shown(secret) == "- (default)"


def test_a_value_of_the_env_file_that_overrides_an_exported_one_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(env_file, "overridden", set[str]())
    monkeypatch.setenv("STOCKS_SOURCE", "bad")
    monkeypatch.setenv("STOCKS_ROWS", "10")
    (tmp_path / ".env").write_text("STOCKS_SOURCE=good\nSTOCKS_ROWS=10\n")
    env_file.load_env_file()
    values = {variable.name: shown(variable) for variable in StocksSettings.variables()}
    assert values["STOCKS_SOURCE"] == "good (from .env; the exported value is not used)"
    assert values["STOCKS_ROWS"] == "10"


def test_a_setting_that_cannot_be_is_not_ok(command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_ENV", "elsewhere")
    code, found = checks(command)
    assert code == 1
    assert found["lake"] == (False, "LAKE_ENV is 'elsewhere'; it must be one of embedded, services")
    assert found["LAKE_ENV"] == found["lake"]


def test_a_wrong_value_is_shown_at_its_own_setting_and_no_other(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORDS_WINDOW", "long")
    monkeypatch.setenv("WORDS_CSV", "true")
    code, found = checks(command)
    assert code == 1
    wrong = {name: detail for name, (ok, detail) in found.items() if not ok}
    assert wrong["WORDS_WINDOW"] == "WORDS_WINDOW is 'long'; it must be a whole number from 1 to 31622400"
    assert found["WORDS_CSV"] == (True, "true")


def test_a_variable_that_is_almost_a_setting_is_a_warning(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_HOEM", "/data/lake")
    (line,) = [line for line in command("doctor").stdout.splitlines() if "LAKE_HOEM" in line]
    assert line.startswith("warn ")
    assert line.endswith("is not a setting, so it has no effect: did you mean LAKE_HOME?")
