"""One fixture is all that a backend needs to be put through the contract suite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lake_assets.lake.contract import Lake
from lake_assets_tests.lake.backends import BACKENDS, LakeSpec, fresh_place


@pytest.fixture(params=BACKENDS)
def lake_backend(request: pytest.FixtureRequest, tmp_path: Path) -> LakeSpec:
    """A fresh lake of each backend, as what opens it in this process or another."""
    return LakeSpec(request.param, fresh_place(request.param, tmp_path))


@pytest.fixture
def lake(lake_backend: LakeSpec) -> Iterator[Lake]:
    """A fresh lake with one branch, ``work``, beside ``main``."""
    lake = lake_backend.open()
    lake.create_branch("work", "main")
    yield lake
    lake.close()
