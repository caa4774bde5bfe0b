"""The link from a commit to the Dagster run."""

from __future__ import annotations

from pathlib import Path

import pandas
from dagster import DagsterInstance, asset, materialize

from lake_assets.io_managers.parquet import ParquetIOManager
from lake_assets.resources.lake import EmbeddedLake
from lake_assets.runs.link import run_url


def test_a_commit_links_to_its_run_where_the_web_page_is_known() -> None:
    assert run_url("", "abc") is None
    for url in ("http://127.0.0.1:3000", "http://127.0.0.1:3000/"):
        assert run_url(url, "abc") == "http://127.0.0.1:3000/runs/abc"


def test_the_lake_resource_knows_the_web_page(tmp_path: Path) -> None:
    @asset
    def trades() -> pandas.DataFrame:
        return pandas.DataFrame({"n": [1]})

    lake = EmbeddedLake(home=str(tmp_path / "lake"), dagster_url="http://127.0.0.1:3000")
    resources = {"lake": lake, "io_manager": ParquetIOManager(lake=lake)}
    with DagsterInstance.ephemeral() as instance:
        run_id = materialize([trades], instance=instance, resources=resources).run_id
    (commit,) = lake.lake.log(f"run-{run_id}", 1)
    assert f"http://127.0.0.1:3000/runs/{run_id}" in commit.metadata.values()
