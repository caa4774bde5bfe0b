"""Opens a database by its address."""

from __future__ import annotations

import re

from lake_assets.databases.contract import Database, DatabaseError
from lake_assets.text.masking import mask

_UNQUOTED = re.compile(r"\s|://[^@]*[/?#][^@]*@|@[^@]*@")
"""What an address with a user and password does not contain, unless they are not quoted."""


def open_database(url: str) -> Database:
    """Open a database by its address.

    Parameters
    ----------
    url
        ``sqlite:///path``, ``postgresql://…``, ``mysql://…``, ``mariadb://…``, ``oracle://…`` or ``mssql://…``.

    Raises
    ------
    DatabaseError
        There is no such kind of database, or it does not answer.
    """
    scheme = url.partition("://")[0].lower()
    if scheme != "sqlite" and _UNQUOTED.search(url):
        # The driver would tell a part of the password, which it takes for the host or port.
        raise DatabaseError(
            f"{scheme}://…: the user or password has a character of its own meaning: write %20 for a space, %23 for #, "
            "%2F for /, %3F for ?, %40 for @"
        )
    if scheme == "sqlite":
        from lake_assets.databases.sqlite import SQLite

        return SQLite(url)
    if scheme in ("postgresql", "postgres"):
        from lake_assets.databases.postgresql import PostgreSQL

        return PostgreSQL(url)
    if scheme in ("mysql", "mariadb"):
        from lake_assets.databases.mysql import MySQL

        return MySQL(url)
    if scheme == "oracle":
        from lake_assets.databases.oracle import Oracle

        return Oracle(url)
    if scheme == "mssql":
        from lake_assets.databases.sql_server import SQLServer

        return SQLServer(url)
    raise DatabaseError(
        f"{mask(url) if '://' in url else 'the address'} is of no known database: give sqlite:///PATH, "
        "postgresql://USER:PASSWORD@HOST/DATABASE, mysql://…, mariadb://…, oracle://… or mssql://…"
    )
