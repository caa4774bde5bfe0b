"""From a commit in lakeFS's web page back to the Dagster run that made it."""

from __future__ import annotations

KEY = "::lakefs::Dagster::url[url:ui]"
"""Commit metadata that lakeFS shows as a button."""


def run_link(url: str, run_id: str) -> dict[str, str]:
    """Return the commit metadata that link to a run.

    Parameters
    ----------
    url
        Address of Dagster's web page; empty where it is not known, and then there is no link.
    run_id
        The run.
    """
    return {KEY: f"{url.rstrip('/')}/runs/{run_id}"} if url else {}
