"""The quickstart, typed by a reader: every command and every block of Python, one after another, in a checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lake_assets_tests.conftest import REPOSITORY_ROOT

PAGE = REPOSITORY_ROOT / "docs" / "quickstart.md"
BIN = Path(sys.executable).parent
SERVERS = ("make ui", "dagster dev")
"""They run until they are stopped. Other tests start them."""
REFUSED = ("dagster job execute", "lake-assets publish")
"""What fails, as the page says, as long as the file is bad."""
ASSETS = "lake_assets/defs/desk/assets.py"


def steps() -> Iterator[tuple[str, str]]:
    """Yield the page's commands (`$`) and its blocks of Python."""
    for block, command in re.findall(r"^```python\n(.*?)^```|^    \$ (.*)", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        yield ("python", block) if block else ("$", command.partition("\n")[0])


class Reader:
    """Someone in a checkout of their own, with a shell that keeps what was exported.

    Parameters
    ----------
    home
        The checkout.
    """

    def __init__(self, home: Path) -> None:
        self.home = self.place = home
        inherited = {name: os.environ[name] for name in ("HOME", "TMPDIR") if name in os.environ}
        self.variables = {**inherited, "PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONPATH": str(home)}

    def types(self, command: str, answer: str = "y\n") -> subprocess.CompletedProcess[str]:
        """Type a command."""
        if command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            if name != "PATH":
                self.variables[name] = value
        if command.startswith("cd "):
            self.place = self.place / command.removeprefix("cd ")
            command = "pwd"
        return subprocess.run(
            ["bash", "-c", command],
            input=answer,
            capture_output=True,
            text=True,
            timeout=240,
            cwd=self.place,
            env=self.variables,
        )

    def filled_in(self, command: str) -> str:
        """Return a command with what stands for the id of a run and of a commit."""
        if "<run id>" in command:
            listed = self.types("lake-assets branches").stdout
            command = command.replace("<run id>", re.findall(r"run-([0-9a-f-]{36})", listed)[0])
        if "<commit>" in command:
            # The newest before the head.
            listed = self.types("lake-assets log main --first-parent").stdout
            command = command.replace("<commit>", re.findall(r"^([0-9a-f]{7,40})\b", listed, re.MULTILINE)[1])
        return command


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    """A reader in a copy of what is in Git, whose environment is the one that tests run in."""
    home = tmp_path / "checkout"
    home.mkdir()
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY_ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    for name in filter(None, listed):
        if not name.startswith("lake_assets_tests/") and (REPOSITORY_ROOT / name).is_file():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_bytes((REPOSITORY_ROOT / name).read_bytes())
    # What `make` would install.
    (home / ".venv").mkdir()
    for entry in BIN.parent.iterdir():
        (home / ".venv" / entry.name).symlink_to(entry)
    ready = home / ".venv" / ".ready"
    ready.unlink(missing_ok=True)
    ready.touch()
    return Reader(home)


@pytest.mark.timeout(1200)
def test_every_step_of_the_quickstart_does_what_the_page_says(reader: Reader) -> None:
    bad = False
    for kind, text in steps():
        if kind == "python" and "published_asset" in text:
            place = reader.home / ASSETS
            place.parent.mkdir()
            (place.parent / "__init__.py").touch()
            place.write_text(text)
            continue
        if text.startswith(SERVERS):
            continue
        command = reader.filled_in(text) if kind == "$" else "python reader.py"
        if kind == "python":
            (reader.home / "reader.py").write_text(text)
        done = reader.types(command)
        refused = bad and command.startswith(REFUSED) and "--override" not in command
        assert (done.returncode != 0) == refused, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        if refused:
            assert "quarantine_bounded" in done.stdout + done.stderr, command
        bad = (bad or command.startswith("yes ")) and not command.startswith("lake-assets cat main:stocks_csv")
    for place in (reader.place, reader.home):
        reader.place = place
        assert reader.types("lake-assets verify").returncode == 0
