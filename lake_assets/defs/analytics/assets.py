"""The assets of group `analytics`: what all published hours of the exchange say, and their publication."""

# No postponed annotations here: Dagster reads them when the decorators run.

from typing import Any

from lake_assets.defs.analytics import pandas_on_spark
from lake_assets.defs.analytics.pandas_on_spark import GROUP, OWNERS, POOL
from lake_assets.runs.publishing import LAYER, published_asset
from lake_assets.sql_assets import sql_asset

_OPTIONS: dict[str, Any] = {
    "reads": ["stocks_parquet"],
    "group_name": GROUP,
    "pool": POOL,
    "owners": OWNERS,
    "tags": {LAYER: "refined"},
    "code_version": "1",
}

top_traded = sql_asset(
    "top_traded",
    """
    SELECT Currency, ISIN, max(SecurityDesc) AS SecurityDesc,
           CAST(sum(TradedVolume * EndPrice) AS DECIMAL(38, 2)) AS turnover,
           CAST(sum(NumberOfTrades) AS BIGINT) AS trades
    FROM stocks_parquet
    GROUP BY Currency, ISIN
    QUALIFY row_number() OVER (PARTITION BY Currency ORDER BY turnover DESC NULLS LAST, ISIN) <= 10
    ORDER BY Currency, turnover DESC NULLS LAST, ISIN
    """,
    description="The ten securities of each currency with the highest turnover: volume times last price, by minutes.",
    **_OPTIONS,
)

stock_counts = sql_asset(
    "stock_counts",
    """
    SELECT day, hour, SecurityType, count(*) AS bars, count(DISTINCT ISIN) AS securities,
           CAST(sum(NumberOfTrades) AS BIGINT) AS trades
    FROM stocks_parquet
    GROUP BY day, hour, SecurityType
    ORDER BY day, hour, SecurityType
    """,
    description="Bars, securities and trades of each hour, by the kind of security.",
    **_OPTIONS,
)

analytics_published = published_asset(GROUP, [top_traded, stock_counts, *pandas_on_spark.ASSETS], owners=OWNERS)
