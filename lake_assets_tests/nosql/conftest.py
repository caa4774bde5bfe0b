"""The stores that the contract suite runs against: one line a backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lake_assets.nosql.contract import NoSQLStore
from lake_assets.nosql.dynamodb.store import DynamoDBStore
from lake_assets.nosql.lmdb.store import LMDBStore

Open = Callable[[], NoSQLStore]


def _lmdb(request: pytest.FixtureRequest) -> Open:
    folder: Path = request.getfixturevalue("tmp_path")
    return lambda: LMDBStore(folder / "store")


def _dynamodb(request: pytest.FixtureRequest) -> Open:
    options: dict[str, Any] = request.getfixturevalue("dynamodb").options()
    return lambda: DynamoDBStore(**options)


BACKENDS: dict[str, Callable[[pytest.FixtureRequest], Open]] = {"dynamodb": _dynamodb, "lmdb": _lmdb}


@pytest.fixture(params=sorted(BACKENDS))
def open_store(request: pytest.FixtureRequest) -> Open:
    """What opens one store of each backend, empty at first."""
    return BACKENDS[request.param](request)


@pytest.fixture
def store(open_store: Open) -> Iterator[NoSQLStore]:
    """An empty store of each backend."""
    opened = open_store()
    yield opened
    opened.close()
