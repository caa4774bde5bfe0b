"""Jobs of group `words`."""

from __future__ import annotations

from dagster import AssetSelection, define_asset_job

words = define_asset_job(
    "words",
    AssetSelection.groups("words"),
    description="Read what is new of the source, count, audit, publish, and send what changed.",
)
