"""The lake backends by name. A new backend is a folder of its own and one line here."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from lake_assets.lake.contract import Lake

BACKENDS = {
    "embedded": "lake_assets.lake.embedded:GitLake",
    "lakefs": "lake_assets.lake.lakefs:LakeFSLake",
}
"""Name of each backend to its class, which is imported when it is first opened."""


def open_lake(backend: str, **options: Any) -> Lake:
    """Open a lake.

    Parameters
    ----------
    backend
        Name of the backend, one of :data:`BACKENDS`.
    options
        Keyword arguments of the backend's class: ``home`` for ``embedded``; ``endpoint``, ``access_key``,
        ``secret_key`` and ``repository`` for ``lakefs``.

    Raises
    ------
    ValueError
        There is no backend of that name.
    LakeError
        The lake cannot be opened.

    Examples
    --------
    >>> lake = open_lake("embedded", home=".lake")
    >>> lake.branches()
    ('main',)
    """
    if backend not in BACKENDS:
        raise ValueError(f"there is no lake backend {backend!r}: choose one of {', '.join(BACKENDS)}")
    module, _, name = BACKENDS[backend].partition(":")
    opened: Lake = getattr(import_module(module), name)(**options)
    return opened
