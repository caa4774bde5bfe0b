"""The assets of `analytics` that are written with the pandas API on Spark, against plain pandas."""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas
import pytest

from lake_assets_tests.graph_fixtures import Graph

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(sys.version_info < (3, 11), reason="SQL, which the job runs too, needs Python 3.11"),
]
MINUTE = ["ISIN", "Date", "Time"]


def read(graph: Graph, name: str) -> Any:
    return pandas.read_parquet(graph.lake.path("main", name).root)


def test_a_return_is_of_the_minute_before_however_the_bars_lie(spark: SparkSession) -> None:
    from lake_assets.defs.analytics.pandas_on_spark import minute_returns
    from lake_assets.spark.pandas_api import activate, pandas_session

    minutes = [("A", "08:02", 3.0), ("B", "08:00", 1.0), ("A", "08:00", 1.0), ("A", "08:01", 2.0), ("B", "08:05", 4.0)]
    bars = pandas.DataFrame(minutes, columns=pandas.Index(["ISIN", "Time", "EndPrice"])).assign(
        Date="2017-07-28", Currency="EUR"
    )
    own = pandas_session(spark)
    own.conf.set("spark.sql.shuffle.partitions", "2")
    frame = own.createDataFrame(bars).repartition(3).pandas_api()
    try:
        returns: Any = minute_returns(frame)
        found = returns.to_pandas().sort_values(MINUTE)
    finally:
        own.conf.unset("spark.sql.shuffle.partitions")
        activate(spark)
    assert found[["ISIN", "Time", "change"]].to_numpy().tolist() == [
        ["A", "08:01", 1.0],
        ["A", "08:02", 0.5],
        ["B", "08:05", 3.0],
    ]


@pytest.mark.soak
@pytest.mark.usefixtures("spark")
def test_figures_are_those_of_pandas(make_graph: Callable[..., Graph]) -> None:
    graph = make_graph(STOCKS_ROWS="300")
    for hour in ("2017-07-28-08:00", "2017-07-28-09:00"):
        assert graph.run(hour).success
    result = graph.defs.resolve_job_def("analytics").execute_in_process(instance=graph.instance)
    assert result.success
    bars = read(graph, "stocks_parquet").astype({"SecurityType": object, "Currency": object})
    ordered = bars.sort_values(MINUTE)

    summary = read(graph, "price_summary").set_index("column")
    wanted = bars[list(summary.index)].describe().T
    assert list(summary.index) == sorted(summary.index)
    exact = ["count", "mean", "std", "min", "max"]
    pandas.testing.assert_frame_equal(summary[exact], wanted[exact], check_names=False)
    for column in summary.index:
        # Spark's quartiles are values of the column.
        assert (summary.loc[column, ["25%", "50%", "75%"]].isin(bars[column].astype(float))).all()

    before = ordered.groupby("ISIN")["EndPrice"].shift(1)
    change = (ordered["EndPrice"] / before - 1)[before.notna()].to_numpy()
    returns = read(graph, "minute_returns").sort_values(MINUTE)
    assert returns["change"].to_numpy() == pytest.approx(change)

    extremes = read(graph, "running_extremes").sort_values(MINUTE)
    by_security = ordered.groupby("ISIN")
    assert extremes["highest"].to_list() == by_security["MaxPrice"].cummax().to_list()
    assert extremes["lowest"].to_list() == by_security["MinPrice"].cummin().to_list()

    traded = bars.fillna({"SecurityType": "none"}).groupby(["SecurityType", "Currency"])["NumberOfTrades"].sum()
    by_kind = read(graph, "trades_by_type_and_currency").set_index(["SecurityType", "Currency"])["NumberOfTrades"]
    assert by_kind[by_kind > 0].sort_index().to_dict() == traded[traded > 0].to_dict()
    assert len(by_kind) == bars["SecurityType"].fillna("none").nunique() * bars["Currency"].nunique()

    by_minute = read(graph, "trades_by_minute")
    assert sorted(by_minute["Time"]) == [f"{hour}:{minute:02}" for hour in ("08", "09") for minute in range(60)]
    assert by_minute["NumberOfTrades"].sum() == bars["NumberOfTrades"].sum()
    assert by_minute["TradedVolume"].sum() == pytest.approx(bars["TradedVolume"].sum())
    shown = result.asset_materializations_for_node("running_extremes")[0].metadata
    pictures = [value.value for name, value in shown.items() if name.startswith("extremes of ")]
    assert len(pictures) == 3
    for picture in pictures:
        found = re.fullmatch(r"!\[extremes of \w+\]\(data:image/png;base64,([\w+/=]+)\)", str(picture))
        assert found
        assert len(found[0]) < 200_000
        assert base64.b64decode(found[1]).startswith(b"\x89PNG")
