"""How to reach DynamoDB: what a client is made from, here or on a worker of Spark."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Access:
    """An endpoint, credentials, and how much is asked of it. The credentials are in no text that shows it.

    Parameters
    ----------
    endpoint_url
        Endpoint of the server; AWS if None.
    region_name, profile_name, access_key_id, secret_access_key, session_token
        As of boto3. What is None comes from the AWS chain.
    parallel
        The number of requests at once.
    writes_per_second
        The most items to write in a second. None for no limit.
    """

    endpoint_url: str | None = None
    region_name: str | None = None
    profile_name: str | None = None
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    parallel: int = 16
    writes_per_second: float | None = None
