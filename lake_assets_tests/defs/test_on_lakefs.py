"""Lineage, verification, rollback, the sensors and rows' differences on a real lakeFS server: on the contract alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from dagster import AssetMaterialization, DagsterInstance

from lake_assets import domains, environments
from lake_assets.cli.row_diff import RowComparison, row_diff
from lake_assets.lake.contract import MAIN
from lake_assets.lake.lakefs import private
from lake_assets.runs.provenance import origins
from lake_assets.runs.sweeping import branches_left, sweep
from lake_assets.runs.verification import Verification
from lake_assets_tests.audits import TESTS
from lake_assets_tests.lakefs_server import CREDENTIALS, fresh_repository
from lake_assets_tests.runs.test_rollback import rolled_back, stale, version
from lake_assets_tests.small_graph import SmallGraph

pytestmark = pytest.mark.services


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallGraph]:
    """The small graph on a fresh repository."""
    endpoint, _, repository = fresh_repository().rpartition("/")
    for variable in domains.all_variables():
        monkeypatch.delenv(variable.name, raising=False)
    for name, value in {
        "LAKE_ENV": "services",
        "LAKE_NOSQL": "lmdb",
        "LAKE_HOME": str(tmp_path / "home"),
        "LAKEFS_ENDPOINT": endpoint,
        "LAKEFS_ACCESS_KEY_ID": CREDENTIALS[0],
        "LAKEFS_SECRET_ACCESS_KEY": CREDENTIALS[1],
        "LAKEFS_REPOSITORY": repository,
    }.items():
        monkeypatch.setenv(name, value)
    with DagsterInstance.ephemeral() as instance:
        yield SmallGraph(tmp_path / "source", instance)


def test_a_day_is_published_corrected_compared_rolled_back_and_changed_by_hand(small: SmallGraph) -> None:
    lake = environments.open_lake()

    def problems() -> list[str]:
        return [problem.path for problem in Verification(lake, small.instance, MAIN).problems(lambda _: None)]

    small.publish("mon", 1.0, 7.0)
    assert small.run("prices_table", partition_key="mon").success
    first, before = lake.head(MAIN).id, version(small, "prices", "mon")
    small.publish("mon", 2.0)
    small.publish_range("tue", "wed", 3.0)
    assert problems() == []
    (range_run, monday) = origins(lake, MAIN, "prices")
    assert range_run.places == ("prices/partition=tue", "prices/partition=wed")
    (read,) = monday.inputs
    assert (read.asset, read.commit.metadata["source"]) == ("raw", "file:///prices/mon.csv")
    with row_diff(lake, RowComparison(left=first, right=MAIN, prefix="prices", key=["isin", "partition"])) as found:
        assert dict(found.counts) == {"added": 2, "removed": 1, "changed": 1}
        changed = next(row for row in found.rows(None) if row.change == "changed")
    assert (changed.before, changed.after) == ({"price": 1.0}, {"price": 2.0})

    watched = small.tick("lake_commits", None).cursor
    rolled_back(small, lake, first)
    assert not lake.diff(first, MAIN)
    assert version(small, "prices", "mon") == before
    assert stale(small, "mon", "tue", "wed") == set()
    assert problems() == []
    small.publish("mon", 2.0)
    (request,) = small.tick("sinks_follow_main", None).run_requests or []
    assert request.partition_key == "mon"

    lake.create_branch("mine", MAIN)
    with (
        lake.write("mine", "raw/partition=mon", message="By hand") as write,
        write.filesystem.open_output_stream(f"{write.root}/mine.csv") as stream,
    ):
        stream.write(b"isin")
    lake.merge("mine", MAIN, audit=TESTS)
    lake.delete_branch("mine")
    (event,) = small.tick("lake_commits", watched).asset_events
    assert isinstance(event, AssetMaterialization)
    assert (event.asset_key.path, event.partition) == (["raw"], "mon")
    assert problems() == ["raw/partition=mon/mine.csv"]
    assert small.tick("sweep_branches", None).skip_message == "Removed no branch; kept 0."
    assert lake.branches() == (MAIN,)
    lake.close()


def test_what_a_killed_writer_outside_of_runs_left_is_swept_past_the_age_limit(small: SmallGraph) -> None:
    with closing(environments.open_lake()) as lake:
        # A killed writer does not remove it; lakeFS has no other trace of one.
        lake.create_branch(private.name_for("v1.0"), MAIN)
        assert lake.branches() == (MAIN,)
        (young,) = branches_left(lake, small.instance, timedelta(days=1))
        assert not young.remove
        assert young.reason.startswith("a write or merge of v1_0, since ")
        assert [branch.remove for branch in sweep(lake, small.instance, timedelta(0))] == [True]
        assert lake.private_branches() == {}
