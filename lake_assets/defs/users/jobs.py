"""Job of group `users`."""

from __future__ import annotations

from dagster import AssetSelection, define_asset_job

users = define_asset_job(
    "users",
    AssetSelection.groups("users"),
    description="One batch of users: read, drop personal data, audit, publish.",
)
