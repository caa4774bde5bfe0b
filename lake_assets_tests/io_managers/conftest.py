"""What the IO managers' tests materialize with: a lake, a store, and the shared Spark session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetsDefinition, DagsterInstance, ExecuteInProcessResult, materialize

from lake_assets.io_managers.nosql import NoSQLIOManager
from lake_assets.io_managers.parquet import ParquetIOManager
from lake_assets.io_managers.raw_file import RawFileIOManager
from lake_assets.lake.contract import Lake
from lake_assets.lake.embedded import GitLake
from lake_assets.nosql.contract import NoSQLStore
from lake_assets.nosql.lmdb.store import LMDBStore
from lake_assets.resources.lake import EmbeddedLake
from lake_assets.resources.nosql import LMDBNoSQL
from lake_assets_tests.audits import TESTS
from lake_assets_tests.shared_spark import SharedSpark


@dataclass
class Workbench:
    """Runs assets against one lake, one store and one Dagster instance."""

    lake: Lake
    store: NoSQLStore
    instance: DagsterInstance
    resources: dict[str, Any]

    def run(self, *assets: AssetsDefinition, **options: Any) -> ExecuteInProcessResult:
        """Materialize assets in one run."""
        return materialize(assets, instance=self.instance, resources=self.resources, **options)

    def publish(self, result: ExecuteInProcessResult) -> None:
        """Bring what a run wrote into ``main``."""
        self.lake.merge(self.branch(result), "main", audit=TESTS)

    def branch(self, result: ExecuteInProcessResult) -> str:
        """Return the branch of a run."""
        return f"run-{result.run_id}"


@pytest.fixture
def workbench(tmp_path: Path) -> Iterator[Workbench]:
    """A fresh lake, store and instance."""
    with _workbench(tmp_path) as workbench:
        yield workbench


@pytest.fixture(scope="module")
def module_workbench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    """A lake, store and instance of a whole file's tests."""
    with _workbench(tmp_path_factory.mktemp("workbench")) as workbench:
        yield workbench


@contextmanager
def _workbench(tmp_path: Path) -> Iterator[Workbench]:
    lake, spark = EmbeddedLake(home=str(tmp_path / "home")), SharedSpark()
    nosql = LMDBNoSQL(folder=str(tmp_path / "nosql"))
    resources = {
        "lake": lake,
        "spark": spark,
        "nosql": nosql,
        "lake_file_io_manager": RawFileIOManager(lake=lake, spark=spark),
        "parquet_io_manager": ParquetIOManager(lake=lake, spark=spark),
        "nosql_io_manager": NoSQLIOManager(nosql=nosql, spark=spark),
    }
    opened, store = GitLake(tmp_path / "home"), LMDBStore(tmp_path / "nosql")
    with DagsterInstance.ephemeral() as instance:
        yield Workbench(opened, store, instance, resources)
    opened.close()
    store.close()
