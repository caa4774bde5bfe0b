"""The stores that the contract suite runs against: one line a backend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lake_assets.nosql.contract import NoSQLStore
from lake_assets.nosql.lmdb.store import LMDBStore

BACKENDS = {"lmdb": LMDBStore}


@pytest.fixture(params=sorted(BACKENDS))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NoSQLStore]:
    """An empty store of each backend."""
    opened = BACKENDS[request.param](tmp_path / "store")
    yield opened
    opened.close()
