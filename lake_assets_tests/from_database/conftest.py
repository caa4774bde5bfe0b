"""A desk on a database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance

from lake_assets_tests.databases.statements import execute
from lake_assets_tests.from_database.desk import URL, Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []
    with DagsterInstance.ephemeral() as instance:

        def make(**options: Any) -> Desk:
            made.append(Desk(tmp_path / "home", instance, **options))
            return made[-1]

        yield make
    for one in made:
        one.lake.close()


@pytest.fixture
def sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path}/accounts.db"
    monkeypatch.setenv(URL, url)
    execute(url, "CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance DECIMAL(9, 2), changed TIMESTAMP)")
    for number in (1, 2, 3):
        execute(url, f"INSERT INTO accounts VALUES ({number}, {number}.5, '2026-01-0{number} 00:00:00')")
    return url
