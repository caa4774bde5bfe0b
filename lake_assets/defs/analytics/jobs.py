"""Job of group `analytics`."""

from __future__ import annotations

from dagster import AssetSelection, define_asset_job

analytics = define_asset_job(
    "analytics",
    AssetSelection.groups("analytics"),
    description="What all published hours of the exchange say, by queries and pandas on Spark; it is published.",
)
