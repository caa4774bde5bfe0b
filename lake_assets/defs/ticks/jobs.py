"""Job of group `ticks`."""

from __future__ import annotations

from dagster import AssetSelection, define_asset_job

ticks = define_asset_job(
    "ticks",
    AssetSelection.groups("ticks"),
    description="Read new ticks of the stream, audit, publish, and feed the table of the latest ones.",
)
