"""What somebody's own merge in lakeFS, or the server's clock, does to a publication and to the one after it."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance, Failure

from lake_assets import environments
from lake_assets.lake.contract import MAIN, Commit
from lake_assets.lake.lakefs import LakeFSLake
from lake_assets.runs import publishing
from lake_assets.runs.branch import branch_name, published_commit
from lake_assets_tests import lakefs_server
from lake_assets_tests.defs.environments import use_fresh
from lake_assets_tests.lake.backends import paths
from lake_assets_tests.lake.faults import FaultyProxy
from lake_assets_tests.lake.stranger import Stranger
from lake_assets_tests.small_graph import SmallGraph

on_lakefs = pytest.mark.parametrize("small", [pytest.param("lakefs", marks=pytest.mark.services)], indirect=True)


@on_lakefs
def test_a_publication_whose_merge_was_undone_says_so_when_it_is_tried_again(
    small: SmallGraph, lake: LakeFSLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.publish("mon", 1.0)
    other = Stranger(lake.repository.rpartition("/")[2])
    merge = LakeFSLake._merge_despite_markers
    came: list[str] = []

    def and_another_came_first(self: LakeFSLake, source: str, into: str, step: Any) -> Commit:
        if into == MAIN and not came:
            came.append(other.publish("prices/partition=mon/theirs.parquet"))
        return merge(self, source, into, step)

    monkeypatch.setattr(LakeFSLake, "_merge_despite_markers", and_another_came_first)
    small.write_source("mon", 1.0, 2.0)
    failed = small.run("raw", "prices", "prices_published", partition_key="mon", raise_on_error=False)
    assert came
    assert not failed.success
    monkeypatch.setattr(LakeFSLake, "_merge_despite_markers", merge)
    run = failed.dagster_run
    graph = small.defs.resolve_asset_graph()
    head = lake.head(branch_name(run.run_id))
    for _ in range(2):
        with pytest.raises(Failure, match=r"cannot be published: .*Re-execute all steps"):
            publishing.publish(lake, small.instance, run, graph)
        assert lake.head(branch_name(run.run_id)) == head
    assert published_commit(lake, small.instance, run.run_id, thorough=True) is None
    assert "prices/partition=mon/theirs.parquet" in paths(lake, MAIN, "prices")


@pytest.mark.services
@pytest.mark.parametrize("hours", [-2, 2])
def test_a_publication_is_found_again_whatever_the_server_s_clock_says(
    hours: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shifted(content: bytes) -> bytes:
        return re.sub(
            rb'("creation_date":)(\d+)', lambda found: found[1] + b"%d" % (int(found[2]) + hours * 3600), content
        )

    use_fresh("lakefs", tmp_path, monkeypatch)
    with (
        FaultyProxy(lakefs_server.shared_endpoint(), shifted) as proxy,
        DagsterInstance.ephemeral() as instance,
    ):
        monkeypatch.setenv("LAKEFS_ENDPOINT", proxy.endpoint)
        small = SmallGraph(tmp_path / "source", instance)
        lake = environments.open_lake()
        assert abs((lake.head(MAIN).committed_at - datetime.now(timezone.utc)) / timedelta(hours=1) - hours) < 0.1
        first = small.publish("mon", 1.0)
        merged = lake.head(MAIN)
        later = small.publish("tue", 2.0)
        for run, commit in ((first, merged), (later, lake.head(MAIN))):
            assert published_commit(lake, instance, run.run_id) == commit
            again = publishing.publish(lake, instance, run.dagster_run, small.defs.resolve_asset_graph())
            assert (again.commit, again.merged) == (commit, False)
        assert lake.branches() == (MAIN,)
        never = small.run("raw", partition_key="tue")
        assert published_commit(lake, instance, never.run_id) is None
