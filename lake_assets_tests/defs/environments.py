"""Both environments, for graphs without Spark."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake_assets import domains
from lake_assets_tests.lakefs_server import CREDENTIALS, fresh_repository


def use_fresh(backend: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a new lake of a backend in force, and no setting of whoever runs the tests."""
    for variable in domains.all_variables():
        monkeypatch.delenv(variable.name, raising=False)
    monkeypatch.setenv("LAKE_HOME", str(folder / "home"))
    if backend == "embedded":
        return
    endpoint, _, repository = fresh_repository().rpartition("/")
    for name, value in {
        "LAKE_ENV": "services",
        "LAKE_NOSQL": "lmdb",
        "LAKEFS_ENDPOINT": endpoint,
        "LAKEFS_ACCESS_KEY_ID": CREDENTIALS[0],
        "LAKEFS_SECRET_ACCESS_KEY": CREDENTIALS[1],
        "LAKEFS_REPOSITORY": repository,
    }.items():
        monkeypatch.setenv(name, value)
