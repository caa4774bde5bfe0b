"""Runs statements in the databases of the tests, as another program would."""

from __future__ import annotations

import sqlite3
import subprocess
from typing import Any


def execute(server: Any, *statements: str) -> None:
    """Run statements on a server, or in the SQLite file of an address."""
    if isinstance(server, str):
        connection = sqlite3.connect(server.removeprefix("sqlite:///"))
        with connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()
    elif server.url.startswith("mysql"):
        subprocess.run([*server.client, "-e", ";".join(statements)], check=True, capture_output=True)
    else:
        import adbc_driver_postgresql.dbapi as adbc

        with adbc.connect(server.url, autocommit=True) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
