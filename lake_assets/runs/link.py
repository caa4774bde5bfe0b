"""The link from a commit in the lakeFS UI to the Dagster run that made it."""

from __future__ import annotations


def run_url(web_page: str, run_id: str) -> str | None:
    """Return the address of a run's page in the Dagster UI; None if the address of the UI is not known.

    Parameters
    ----------
    web_page
        Address of the Dagster UI; empty if it is not known.
    run_id
        Id of the run.
    """
    return f"{web_page.rstrip('/')}/runs/{run_id}" if web_page else None
