"""Every batch asset has the same content, whichever executor computed it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lake_assets.compute.executors import LocalExecutor
from lake_assets.compute.spark import SparkExecutor
from lake_assets.defs.stocks import parsing
from lake_assets.lake.contract import MAIN
from lake_assets.layout.manifest import read_manifest
from lake_assets.resources.compute import ComputeResource, Engine
from lake_assets.resources.spark import SparkResource
from lake_assets_tests.defs.users.files import add
from lake_assets_tests.graph_fixtures import Graph
from lake_assets_tests.processes.state import DAY, generated, key_of

PLACES = (
    *(f"{asset}/day={DAY}/hour={hour}" for asset in ("stocks_parquet", "stocks_quarantine") for hour in ("08", "09")),
    *(f"{asset}/partition={batch}" for asset in ("users", "users_without_pii") for batch in ("week1", "week2")),
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder of stock files with bad lines, and of users."""
    folder = tmp_path / "source" / DAY
    folder.mkdir(parents=True)
    for hour in ("08", "09"):
        lines = generated(hour, 300).splitlines(keepends=True)
        content = b"".join([*lines[:100], b"no bar\n", *lines[100:], b"\xff,\n"])
        (folder / f"{DAY}_BINS_XETR{hour}.csv").write_bytes(content)
    for batch in ("week1", "week2"):
        add(tmp_path / "source", batch)
    return tmp_path / "source"


def versions(graph: Graph) -> dict[str, tuple[int, str]]:
    """Run both jobs over several partitions, and return rows and content version of each asset and partition."""
    graph.instance.add_dynamic_partitions("users_batches", ["week1", "week2"])
    assert graph.run_range(key_of("08"), key_of("09")).success
    assert graph.run_range("week1", "week2", "users").success
    manifests = {place: read_manifest(graph.lake.path(MAIN, place)) for place in PLACES}
    return {place: (manifest.rows, manifest.data_version) for place, manifest in manifests.items()}


def test_sparks_workers_and_this_process_make_the_same_content_and_nothing_besides(
    make_graph: Callable[..., Graph], source: Path, monkeypatch: pytest.MonkeyPatch, spark: object
) -> None:
    del spark
    # Several ranges a file.
    ranges_of = parsing.ranges_of
    monkeypatch.setattr(parsing, "ranges_of", lambda filesystem, path, size: ranges_of(filesystem, path, 10_000))
    settings = {"USERS_SOURCE": str(source), "STOCKS_MAX_QUARANTINED": "0.5"}
    graphs = {engine: make_graph(source, LAKE_ENGINE=engine, **settings) for engine in ("spark", "local")}
    found = {engine: versions(graph) for engine, graph in graphs.items()}
    assert found["spark"] == found["local"]
    assert [rows for rows, _ in found["local"].values()] == [300, 300, 2, 2, *[1000] * 4]
    for graph in graphs.values():
        for place, (rows, _) in found["local"].items():
            files = [item.path for item in graph.lake.list(MAIN, place) if item.path.endswith(".parquet")]
            snapshots = [graph.lake.path(MAIN, path) for path in files]
            assert sum(pq.read_metadata(item.root, filesystem=item.filesystem).num_rows for item in snapshots) == rows


@pytest.mark.parametrize(
    ("engine", "master", "size", "expected"),
    [
        ("auto", "local[*]", 101, LocalExecutor),
        ("auto", "spark://host:7077", 100, LocalExecutor),
        ("auto", "spark://host:7077", 101, SparkExecutor),
        ("local", "spark://host:7077", 101, LocalExecutor),
        ("spark", "local[*]", 0, SparkExecutor),
    ],
)
def test_the_executor_is_chosen_by_settings_cluster_and_size(
    engine: Engine, master: str, size: int, expected: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SparkResource, "session", None)
    compute = ComputeResource(engine=engine, local_bytes=100, spark=SparkResource(master=master))
    assert isinstance(compute.executor(size), expected)
