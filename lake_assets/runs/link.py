"""From a commit in lakeFS's web page back to the Dagster run that made it."""

from __future__ import annotations


def run_url(web_page: str, run_id: str) -> str | None:
    """Return the page of a run in Dagster's web page.

    Parameters
    ----------
    web_page
        Address of Dagster's web page; empty where it is not known, and then there is no link.
    run_id
        The run.
    """
    return f"{web_page.rstrip('/')}/runs/{run_id}" if web_page else None
