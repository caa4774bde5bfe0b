"""From a commit in lakeFS's web page back to the Dagster run that made it."""

from __future__ import annotations

from lake_assets import settings


def run_url(run_id: str) -> str | None:
    """Return the page of a run in Dagster's web page; None where ``DAGSTER_WEBSERVER_URL`` is not set."""
    url = settings.DAGSTER_WEBSERVER_URL.value.rstrip("/")
    return f"{url}/runs/{run_id}" if url else None
