"""What a server's address, its keys and a repository's name must look like. They are checked before the first call."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from lake_assets.lake.errors import InvalidName, LakeUnavailable

_REPOSITORY = re.compile(r"[a-z0-9][a-z0-9-]{2,62}")


def check_endpoint(endpoint: str) -> str:
    """Return a server's address without a trailing slash.

    Parameters
    ----------
    endpoint
        The address, such as ``http://127.0.0.1:8000``.

    Raises
    ------
    LakeUnavailable
        It is not an address of a server alone. The error shows no user, password or query.
    """
    url = _split(endpoint)
    if url is None or url.scheme not in ("http", "https") or not url.hostname:
        reason = "LAKEFS_ENDPOINT is no address of a server: give it like http://127.0.0.1:8000"
        raise LakeUnavailable(reason, repository=masked(endpoint))
    reason = ""
    if "@" in endpoint:
        reason = "has a user or password in it: give them as LAKEFS_ACCESS_KEY_ID and LAKEFS_SECRET_ACCESS_KEY"
    elif url.query or url.fragment or url.path.strip("/"):
        reason = f"has a path or a query: give the server alone, {masked(endpoint)}"
    if reason:
        raise LakeUnavailable(f"LAKEFS_ENDPOINT {reason}", repository=masked(endpoint))
    return f"{url.scheme}://{url.netloc}"


def check_keys(access_key: str, secret_key: str, repository: str) -> None:
    """Raise :class:`LakeUnavailable` if a key is empty or has a character that no key of lakeFS has.

    Parameters
    ----------
    access_key, secret_key
        The keys. They are never shown.
    repository
        Name of the lake, for errors.
    """
    for name, key in (("LAKEFS_ACCESS_KEY_ID", access_key), ("LAKEFS_SECRET_ACCESS_KEY", secret_key)):
        if not (key and key.isascii() and key.isprintable()):
            what = "has a control character or one beyond ASCII, which no key of lakeFS has" if key else "is empty"
            raise LakeUnavailable(f"{name} {what}: copy it again", repository=repository)


def check_repository(name: str, endpoint: str) -> None:
    """Raise :class:`InvalidName` if lakeFS allows no repository of this name.

    Parameters
    ----------
    name
        Id of the repository.
    endpoint
        The server, for errors.
    """
    if not _REPOSITORY.fullmatch(name):
        reason = (
            f"LAKEFS_REPOSITORY {name!r} is no name of a lakeFS repository: 3 to 63 lower-case letters, digits and '-'"
        )
        raise InvalidName(reason, repository=endpoint)


def masked(address: str) -> str:
    """Return an address without user, password, path and query."""
    url = _split(address)
    if url is None or not url.hostname or "@" in url.path:
        return "lakeFS"
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}"


def _split(address: str) -> SplitResult | None:
    try:
        url = urlsplit(address)
        url.port  # noqa: B018 - a port that is no number raises here
    except ValueError:
        return None
    return url if address.isascii() and address.isprintable() and " " not in address else None
