"""Jobs of group `words`."""

from __future__ import annotations

from dagster import AssetSelection, define_asset_job

from lake_assets.defs.words.checks import AUDIT

words = define_asset_job(
    "words",
    AssetSelection.groups("words") - AssetSelection.checks(AUDIT),
    description="Read new lines of the source, count, audit, publish, and send changed counts.",
)

words_recount = define_asset_job(
    "words_recount",
    AssetSelection.checks(AUDIT),
    description="Count all lines again and compare. This reads the whole source.",
)
