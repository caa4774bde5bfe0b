"""Fixtures of the stream of words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lake_assets.lake.contract import Lake
from lake_assets_tests.defs.words.stream import Stream
from lake_assets_tests.graph_fixtures import Graph
from lake_assets_tests.lake.backends import BACKENDS, LakeSpec, fresh_place


@pytest.fixture(params=BACKENDS)
def any_lake(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lake]:
    """A fresh lake of each backend."""
    lake = LakeSpec(request.param, fresh_place(request.param, tmp_path)).open()
    yield lake
    lake.close()


@pytest.fixture
def make_graph(make_graph: Callable[..., Graph], spark: object) -> Callable[..., Graph]:
    """Return a function that makes a graph, whose jobs have a Spark session."""
    del spark
    return make_graph


@pytest.fixture
def stream(tmp_path: Path, make_graph: Callable[..., Graph]) -> Stream:
    """The stream of words over an empty folder, whose name Spark would take for a pattern of others."""
    folder = tmp_path / "lines [of] {words, text}*"
    folder.mkdir()
    return Stream(make_graph(WORDS_SOURCE=str(folder)), folder)
