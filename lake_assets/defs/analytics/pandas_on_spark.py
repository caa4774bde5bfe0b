"""Assets of group `analytics` that are written with the pandas API on Spark.

Spark's workers compute them. Nothing but pictures, and the names of a few securities, comes to the driver. Pandas on
Spark is imported where it is used, so that the definitions load without it.
"""

# No postponed annotations here: Dagster reads them when the decorators run.

import base64
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dagster import AssetIn, AssetsDefinition, MetadataValue, Output, asset

from lake_assets.io_managers.annotations import FRAME
from lake_assets.runs.publishing import LAYER

GROUP = "analytics"
OWNERS = ["team:data-platform"]
POOL = "analytics"
"""Only one run at a time, since two would write the same folders."""

_PANDAS_ON_SPARK = "pyspark.pandas.DataFrame"
_PRICES = ["StartPrice", "MaxPrice", "MinPrice", "EndPrice"]
_MINUTE = ["ISIN", "Date", "Time"]
_NO_TYPE = "none"
_PLOTTED = 3
"""The number of securities whose extremes are plotted."""
_PICTURE_BYTES = 150_000
"""The largest picture. As base64 it has a third more."""

_analysis: Callable[[Callable[..., Any]], AssetsDefinition] = asset(
    group_name=GROUP,
    pool=POOL,
    owners=OWNERS,
    tags={LAYER: "refined"},
    kinds={"spark", "parquet", "lake"},
    code_version="1",
    io_manager_key="parquet_io_manager",
    ins={"stocks_parquet": AssetIn(metadata={FRAME: _PANDAS_ON_SPARK})},
)


@_analysis
def price_summary(stocks_parquet: Any) -> Any:
    """What prices and volumes are like: number, mean, deviation, extremes and quartiles of each column."""
    summary = stocks_parquet[[*_PRICES, "TradedVolume", "NumberOfTrades"]].describe()
    return summary.T.sort_index().rename_axis("column")


@_analysis
def minute_returns(stocks_parquet: Any) -> Any:
    """How much each security's last price changes from one of its minutes to its next one."""
    bars = _by_minute(stocks_parquet[[*_MINUTE, "Currency", "EndPrice"]])
    bars["before"] = bars.groupby("ISIN")["EndPrice"].shift(1)
    bars = bars.dropna(subset=["before"])  # the first minute of a security
    bars["change"] = bars["EndPrice"] / bars["before"] - 1
    return bars


@_analysis
def running_extremes(stocks_parquet: Any) -> Iterator[Output[Any]]:
    """The highest and lowest price of each security until each of its minutes."""
    bars = _by_minute(stocks_parquet[[*_MINUTE, "MaxPrice", "MinPrice", "NumberOfTrades"]])
    by_security = bars.groupby("ISIN")
    highest, lowest = by_security["MaxPrice"].cummax(), by_security["MinPrice"].cummin()
    most_traded = by_security["NumberOfTrades"].sum().nlargest(_PLOTTED).index.to_list()
    bars["highest"], bars["lowest"] = highest, lowest
    bars = bars.drop(columns=["NumberOfTrades"]).spark.local_checkpoint()
    pictures = {
        f"extremes of {isin}": bars[bars["ISIN"] == isin]
        .sort_values(["Date", "Time"])
        .set_index(["Date", "Time"])[["highest", "MaxPrice", "MinPrice", "lowest"]]
        for isin in most_traded
    }
    yield Output(bars.to_spark(), metadata=_plots(pictures))


@_analysis
def trades_by_type_and_currency(stocks_parquet: Any) -> Any:
    """Trades and volume of each kind of security in each currency; 0 where there was no trade."""
    import pyspark.pandas as ps

    keys, figures = ["SecurityType", "Currency"], ["NumberOfTrades", "TradedVolume"]
    bars = stocks_parquet[[*keys, *figures]].fillna(dict.fromkeys(keys, _NO_TYPE))
    traded = bars.groupby(keys)[figures].sum()
    kinds, currencies = (sorted(bars[key].unique().to_list()) for key in keys)
    every = ps.MultiIndex.from_product([kinds, currencies], names=keys)
    return traded.reindex(every).fillna(0).astype({"NumberOfTrades": "int64"})


@_analysis
def trades_by_minute(stocks_parquet: Any) -> Iterator[Output[Any]]:
    """Trades and volume of each minute of the hours that exist; 0 where nothing was traded."""
    import pyspark.pandas as ps

    keys, figures = ["day", "Time"], ["NumberOfTrades", "TradedVolume"]
    traded = stocks_parquet.groupby(keys)[figures].sum()
    hours = stocks_parquet[["day", "hour"]].drop_duplicates().assign(all=0)
    minutes = ps.DataFrame({"minute": [f"{minute:02}" for minute in range(60)], "all": 0})
    every = hours.merge(minutes, on="all")
    every["Time"] = every["hour"] + ":" + every["minute"]
    filled = traded.reindex(every.set_index(keys).index).fillna(0).astype({"NumberOfTrades": "int64"})
    filled = filled.sort_index().spark.local_checkpoint()
    yield Output(filled, metadata=_plots({"trades by minute": filled[["NumberOfTrades"]]}))


ASSETS = [
    price_summary,
    minute_returns,
    running_extremes,
    trades_by_type_and_currency,
    trades_by_minute,
]


def _by_minute(bars: Any) -> Any:
    """Return bars in the order of their minutes, computed once.

    What goes along rows, such as ``cummax``, follows the order in which Spark computes them. A frame that is computed
    anew for the next column has another order, so the order is pinned, on the workers.
    """
    return bars.sort_values(_MINUTE).spark.local_checkpoint()


def _plots(frames: Mapping[str, Any]) -> dict[str, MetadataValue[Any]]:
    """Return pictures of frames for Dagster's UI."""
    found: dict[str, MetadataValue[Any]] = {}
    for name, frame in frames.items():
        png = frame.plot.line(backend="lake_assets.spark.plots", title=name)
        if len(png) <= _PICTURE_BYTES:
            found[name] = MetadataValue.md(f"![{name}](data:image/png;base64,{base64.b64encode(png).decode()})")
    return found
