"""The versioned lake: one contract, and a backend a folder. Knows no Dagster, no settings, no command line.

Examples
--------
>>> from lake_assets import lake
>>> store = lake.open("lake")
>>> store.branches()
('main',)
"""

from __future__ import annotations

from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from lake_assets.lake.backends import open_lake

if TYPE_CHECKING:
    from lake_assets.lake.contract import Lake

__all__ = ["open"]

_LAKEFS = "lakefs://"


def open(address: str | PathLike[str], **options: Any) -> Lake:  # noqa: A001 -- `lake.open(…)`, as people say it
    """Open a lake. The caller closes it.

    Parameters
    ----------
    address
        A folder, for an embedded lake; ``lakefs://REPOSITORY`` for one on a lakeFS server.
    options
        Keyword arguments of the backend's class. lakeFS needs ``endpoint``, ``access_key`` and ``secret_key``.

    Raises
    ------
    ValueError
        The address has another scheme, or names no repository.
    LakeError
        The lake cannot be opened.

    Examples
    --------
    >>> store = open("lakefs://desk", endpoint=url, access_key=key, secret_key=secret)  # doctest: +SKIP
    """
    place = fspath(address)
    if place.startswith(_LAKEFS):
        repository = place.removeprefix(_LAKEFS).rstrip("/")
        if not repository or "/" in repository:
            raise ValueError(f"{place!r} does not name a repository: write lakefs://REPOSITORY")
        return open_lake("lakefs", repository=repository, **options)
    if "://" in place:
        raise ValueError(f"{place!r} is not the address of a lake: give a folder, or lakefs://REPOSITORY")
    return open_lake("embedded", home=place, **options)
