"""Lines of prose are at most 100 characters, and a page that uses the commands bare says where they are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lake_assets_tests.conftest import REPOSITORY_ROOT
from lake_assets_tests.test_docs import PAGES

WIDTH = 100
BARE = re.compile(r"^    \$ (?:lake-assets|dagster) ", re.MULTILINE)
# The first lines of README and quickstart make the environment; own-project has one of the reader's.
THEIR_OWN = {"README.md", "quickstart.md", "own-project.md"}
ALL = [*PAGES, *(REPOSITORY_ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"))]


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a page that are prose: no code, table or picture."""
    code = False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.startswith("```"):
            code = not code
        elif not (code or line.startswith("    ") or line.lstrip().startswith(("|", "![", "<!--"))):
            yield number, line


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.name)
def test_lines_of_prose_are_short(page: Path) -> None:
    assert [f"{page.name}:{number}" for number, line in prose(page) if len(line) > WIDTH] == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in THEIR_OWN], ids=lambda page: page.name)
def test_a_page_of_commands_says_where_they_are(page: Path) -> None:
    text = page.read_text()
    assert not BARE.search(text) or "export PATH=$PWD/.venv/bin:$PATH" in text
