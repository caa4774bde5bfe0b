"""Names that the asset of a database and its sensor share."""

from __future__ import annotations

from collections.abc import Callable

from dagster import AssetKey, EnvVar

from lake_assets.databases.contract import DatabaseError

Address = str | EnvVar | Callable[[], str]
"""Address of a database, or where it is: with a password, it is read when it is needed."""

VERSION = "source/version"
"""Materialization metadata: the version of the database, as of before its rows were read."""


def op_of(key: AssetKey) -> str:
    """Return the name of the op that reads the rows of an asset.

    Parameters
    ----------
    key
        Key of the asset.
    """
    return f"read_{'__'.join(key.path)}"


def pool_of(key: AssetKey) -> str:
    """Return the pool of that op: of two runs at once, only one could publish.

    Parameters
    ----------
    key
        Key of the asset.
    """
    return "/".join(key.path)


def address_of(url: Address) -> str:
    """Return the address of a database.

    Parameters
    ----------
    url
        The address, or where it is.

    Raises
    ------
    DatabaseError
        The environment variable is not set.
    """
    if isinstance(url, EnvVar):
        value = url.get_value()
        if not value:
            raise DatabaseError(f"{url.env_var_name} is not set: give it the address of the database")
        return value
    return url if isinstance(url, str) else url()
