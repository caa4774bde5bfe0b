"""One Dagster for all tests of this folder, since starting it takes long; each test has a day of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lake_assets_tests.ui.server import DagsterServer, running


@pytest.fixture(scope="session")
def dagster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterServer]:
    """Dagster with the project's settings."""
    folder: Path = tmp_path_factory.mktemp("ui")
    source = folder / "source"
    source.mkdir()
    with running(folder, source) as server:
        yield server
