"""The job `analytics`: queries on all published hours."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pandas
import pytest
from dagster import AssetKey

from lake_assets_tests.graph_fixtures import Graph

pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="SQL needs Python 3.11")


def test_queries_run_without_java_and_their_figures_are_those_of_pandas(
    make_graph: Callable[..., Graph], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lake_assets.spark.session import check_java

    graph = make_graph(STOCKS_ROWS="400")
    assert graph.run_range("2017-07-28-08:00", "2017-07-28-09:00").success
    queries = [AssetKey("top_traded"), AssetKey("stock_counts")]
    job = graph.defs.resolve_job_def("analytics")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(RuntimeError, match="needs Java"):
        check_java()
    result = job.execute_in_process(instance=graph.instance, asset_selection=queries)
    assert result.success
    branch = f"run-{result.run_id}"
    bars = pandas.read_parquet(graph.lake.path("main", "stocks_parquet").root)
    found = pandas.read_parquet(graph.lake.path(branch, "stock_counts").root)
    counted = bars.groupby("SecurityType", observed=True).size().to_dict()
    assert found.groupby("SecurityType")["bars"].sum().to_dict() == counted
    assert set(found["hour"]) == {"08", "09"}
    top = pandas.read_parquet(graph.lake.path(branch, "top_traded").root)
    bars["turnover"] = bars["TradedVolume"] * bars["EndPrice"]
    best = bars.groupby(["Currency", "ISIN"], observed=True)["turnover"].sum().groupby(level=0).max()
    assert top.groupby("Currency")["turnover"].max().astype(float).to_dict() == pytest.approx(best.to_dict(), abs=0.01)
    assert top.groupby("Currency").size().max() <= 10
