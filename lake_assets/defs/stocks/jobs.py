"""Job and schedule of group `stocks`."""

from __future__ import annotations

from dagster import AssetSelection, build_schedule_from_partitioned_job, define_asset_job

stocks = define_asset_job(
    "stocks",
    AssetSelection.groups("stocks"),
    description="One hour of the exchange: fetch, parse, audit, publish, and feed the table of latest bars.",
)

stocks_hourly = build_schedule_from_partitioned_job(
    stocks,
    name="stocks_hourly",
    description="The hour that has just ended, ten minutes after it.",
    minute_of_hour=10,
)
