"""The commands of `docs/operations.md`, run one after another on a lake that has published, with a table."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner as ClickRunner
from dagster._cli import create_dagster_cli
from typer.testing import CliRunner

from lake_assets import definitions, environments
from lake_assets.cli.app import app
from lake_assets_tests.audits import TESTS
from lake_assets_tests.cli.conftest import Command
from lake_assets_tests.conftest import REPOSITORY_ROOT
from lake_assets_tests.small_graph import SmallGraph

PAGE = REPOSITORY_ROOT / "docs" / "operations.md"
WAITS = "dddd0000-0000-4000-8000-000000000001"
"""A run that no Dagster knows any more; its branch waits."""


def commands() -> list[str]:
    return re.findall(r"^ {4,}\$ (.*)$", PAGE.read_text(), re.MULTILINE)


@pytest.fixture
def lived_in(graph: SmallGraph, lake_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallGraph:
    """What the page speaks of: two published days, a table, a tag, personal data, and a branch that waits."""
    monkeypatch.setattr(definitions, "defs", graph.defs)
    assert graph.publish_range("mon", "tue", 1.0).success
    assert graph.run("prices_table", partition_key="mon").success
    lake = environments.open_lake()
    for prefix in ("users/userdata1", "stocks_parquet"):
        lake.create_branch("mine", "main")
        with lake.write("mine", prefix) as write:
            Path(write.root, "data.txt").write_text(prefix)
        lake.merge("mine", "main", audit=TESTS)
        lake.delete_branch("mine")
    lake.tag("v2017", "main")
    lake.create_branch(f"run-{WAITS}", "main")
    with lake.write(f"run-{WAITS}", "notes") as write:
        Path(write.root, "data.txt").write_text("x")
    lake.close()
    (tmp_path / ".lake").symlink_to(lake_home)
    return graph


def test_every_command_of_the_page_does_what_it_says(
    lived_in: SmallGraph, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: set[str] = set()
    old = lived_in.instance.get_run_ids()[-1]
    for line in commands():
        words = [old if word == "RUN" else word for word in shlex.split(line.replace("/mnt/", f"{tmp_path}/"))]
        with monkeypatch.context() as changed:
            while re.fullmatch(r"[A-Z_]+=.*", words[0]):
                name, _, value = words.pop(0).partition("=")
                changed.setenv(name, value)
            if words[0] == "dagster":
                result = ClickRunner().invoke(create_dagster_cli(), words[1:])
                assert result.exit_code == 0, (line, result.output)
                ran.add(" ".join(words[:3]))
                continue
            if words[0] != "lake-assets":
                subprocess.run(words, check=True, cwd=tmp_path)
                continue
            result = CliRunner().invoke(app, words[1:], input="y\n")
        ran.add(words[1])
        # Whether Java and the like are here is not the page's matter.
        assert result.exit_code == 0 or (words[1] == "doctor" and "lake" in result.stdout), (line, result.output)
    assert ran >= {"backup", "restore", "verify", "doctor", "clean", "sweep", "gc", "expire", "delete", "publish"}
    assert ran >= {"lineage", "migrate", "tables", "log", "dagster run delete", "dagster instance migrate"}
    assert not lived_in.instance.has_run(old)
    assert command("restore", str(tmp_path / "by-hand"), "--replace").exit_code == 0
    lake = environments.open_lake()
    assert list(lake.verify("main")) == []
    lake.close()
