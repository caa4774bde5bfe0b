"""Opening a store by its address, as workers do."""

from __future__ import annotations

from pathlib import Path

from lake_assets.nosql.contract import NoSQLStore
from lake_assets.nosql.errors import NoSQLError


def open_store(
    address: str, *, endpoint: str | None = None, region: str | None = None, read_only: bool = False
) -> NoSQLStore:
    """Open a store. The caller closes it.

    Parameters
    ----------
    address
        ``lmdb://`` and a folder, or ``dynamodb://`` and what the names of all tables begin with.
    endpoint
        Endpoint of DynamoDB's server; AWS if None.
    region
        DynamoDB's region. If None, it comes from the AWS chain, as credentials do.
    read_only
        Refuse writes.

    Raises
    ------
    NoSQLError
        The address is of another kind, or the store cannot be opened.
    """
    kind, separator, place = address.partition("://")
    if separator and place and kind == "lmdb":
        from lake_assets.nosql.lmdb.store import LMDBStore

        return LMDBStore(Path(place), read_only=read_only)
    if separator and place and kind == "dynamodb":
        from lake_assets.nosql.dynamodb.store import DynamoDBStore

        return DynamoDBStore(place, endpoint_url=endpoint, region_name=region, read_only=read_only)
    raise NoSQLError(f"store {address!r}: give lmdb:///FOLDER or dynamodb://PREFIX")
