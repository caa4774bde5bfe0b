"""Job of group `analytics`."""

from __future__ import annotations

from dagster import AssetSelection, define_asset_job

analytics = define_asset_job(
    "analytics",
    AssetSelection.groups("analytics"),
    description="Query all published hours of the exchange, and publish what is found.",
)
