"""Job of group `customers`."""

from __future__ import annotations

from dagster import AssetSelection, define_asset_job

customers = define_asset_job(
    "customers",
    AssetSelection.groups("customers"),
    description="Read what changed in the database, audit, publish, and feed the table by id.",
)
