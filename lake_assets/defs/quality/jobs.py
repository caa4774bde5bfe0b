"""Job of group `quality`."""

from __future__ import annotations

from dagster import AssetSelection, define_asset_job

quality = define_asset_job(
    "quality",
    AssetSelection.groups("quality"),
    description="A file of one's own: read it with the types that it had before, profile, check and publish it.",
)
