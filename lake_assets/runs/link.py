"""From a commit in lakeFS's web page back to the Dagster run that made it."""

from __future__ import annotations

from lake_assets import settings

KEY = "::lakefs::Dagster::url[url:ui]"
"""Commit metadata that lakeFS shows as a button."""


def run_link(run_id: str) -> dict[str, str]:
    """Return the commit metadata that link to a run; empty where ``DAGSTER_WEBSERVER_URL`` is not set."""
    url = settings.DAGSTER_WEBSERVER_URL.value.rstrip("/")
    return {KEY: f"{url}/runs/{run_id}"} if url else {}
