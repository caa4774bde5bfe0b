"""The whole graph on a fresh home, run in this process; what needs Spark takes the shared session."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance, Definitions, ExecuteInProcessResult

from lake_assets import definitions, environments
from lake_assets.lake.contract import MAIN, Lake
from lake_assets.lake.embedded import GitLake
from lake_assets.nosql.contract import NoSQLStore
from lake_assets.nosql.lmdb.store import LMDBStore
from lake_assets_tests.defs.environments import use_fresh
from lake_assets_tests.shared_spark import SharedSpark
from lake_assets_tests.small_graph import SmallGraph


@dataclass
class Graph:
    """The graph's definitions, its lake and its store, and a Dagster instance that remembers its runs."""

    home: Path
    instance: DagsterInstance
    defs: Definitions
    lake: Lake
    store: NoSQLStore
    last: list[ExecuteInProcessResult] = field(default_factory=list)

    def run(self, key: str, job: str = "stocks", **options: Any) -> ExecuteInProcessResult:
        """Execute a job for one partition."""
        result = self.defs.resolve_job_def(job).execute_in_process(
            partition_key=key, instance=self.instance, raise_on_error=False, **options
        )
        self.last.append(result)
        return result

    def run_range(self, first: str, last: str, job: str = "stocks") -> ExecuteInProcessResult:
        """Execute a job as a single run over a range of partitions."""
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        return self.defs.resolve_job_def(job).execute_in_process(
            instance=self.instance, raise_on_error=False, tags=tags
        )

    def table(self) -> dict[str, Mapping[str, Any]]:
        """Return the items of `stocks_table` by ISIN."""
        return {row["ISIN"]: row for batch in self.store.scan("stocks_table") for row in batch.to_pylist()}

    def published(self, prefix: str = "") -> dict[str, str]:
        """Return path to checksum of what `main` holds."""
        return {item.path: item.checksum for item in self.lake.list(MAIN, prefix)}


@pytest.fixture
def small(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallGraph]:
    """A small graph, without Spark, on a fresh home and an instance in memory.

    The lake is an embedded one, or of the backend that a test is parametrized with (indirectly).
    """
    use_fresh(getattr(request, "param", "embedded"), tmp_path, monkeypatch)
    with DagsterInstance.ephemeral() as instance:
        yield SmallGraph(tmp_path / "source", instance)


@pytest.fixture
def lake(small: SmallGraph) -> Iterator[Lake]:
    """The small graph's lake."""
    with closing(environments.open_lake()) as lake:
        yield lake


@pytest.fixture
def make_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Graph]]:
    """Return a function that makes a graph on a home and a source of its own."""
    opened: list[Graph] = []

    def make(source: str | Path = "", home: Path | None = None, **settings: str) -> Graph:
        home = home or tmp_path / f"home{len(opened)}"
        monkeypatch.setenv("LAKE_HOME", str(home))
        monkeypatch.setenv("STOCKS_SOURCE", str(source))
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        resources = environments.resources(SharedSpark())
        graph = Graph(
            home,
            # In memory: on SQLite, half of a small job's time is Dagster's.
            DagsterInstance.ephemeral(),
            definitions.definitions(resources),
            GitLake(home),
            LMDBStore(home / "nosql"),
        )
        opened.append(graph)
        return graph

    yield make
    for graph in opened:
        graph.lake.close()
        graph.store.close()
        graph.instance.dispose()
