"""`lake-assets migrate`, and programs and lakes of different formats."""

from __future__ import annotations

from pathlib import Path

import pygit2
import pytest
from typer.testing import CliRunner

from lake_assets.cli.app import app
from lake_assets.lake.embedded import GitLake
from lake_assets.lake.errors import FormatMismatch
from lake_assets.lake.format import FORMAT
from lake_assets.resources.lake import EmbeddedLake


def test_a_new_lake_has_this_programs_format(lake_home: Path) -> None:
    with pytest.raises(FormatMismatch, match="this program knows 2: install a newer lake_assets"):
        numbered(lake_home, FORMAT + 1)
    result = CliRunner().invoke(app, ["branches"])
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "install a newer lake_assets" in result.stderr
    assert "install a newer lake_assets" in CliRunner().invoke(app, ["migrate"]).stderr
    with pytest.raises(FormatMismatch):
        _ = EmbeddedLake(home=str(lake_home)).lake


def test_an_older_lake_is_refused_until_it_is_migrated(lake_home: Path) -> None:
    with pytest.raises(FormatMismatch, match="run `lake-assets migrate`"):
        numbered(lake_home, 1)
    asked = CliRunner().invoke(app, ["migrate"])
    assert "has format 1: `lake-assets migrate --yes` migrates it to 2" in asked.stdout
    assert "run `lake-assets migrate`" in CliRunner().invoke(app, ["branches"]).stderr
    assert "has format 2 now" in CliRunner().invoke(app, ["migrate", "--yes"]).stdout
    assert CliRunner().invoke(app, ["branches"]).exit_code == 0
    assert "nothing to do" in CliRunner().invoke(app, ["migrate", "--yes"]).stdout


def numbered(home: Path, number: int) -> None:
    """Make a lake, give it a format, and open it."""
    GitLake(home).close()
    pygit2.Repository(str(home / "lake.git")).config["lakeassets.format"] = number
    GitLake(home)
