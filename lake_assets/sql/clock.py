"""The time that a query may take."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from lake_assets.sql.errors import SqlError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


class Clock:
    """Counts the time in DuckDB, and interrupts it when the time is over.

    Parameters
    ----------
    connection
        Where DuckDB works.
    seconds
        How long it may.
    """

    def __init__(self, connection: DuckDBPyConnection, seconds: float) -> None:
        self._connection, self._seconds, self._left = connection, seconds, seconds

    def __enter__(self) -> None:
        self._began = time.monotonic()
        self._timer = threading.Timer(max(self._left, 0), self._connection.interrupt)
        self._timer.daemon = True
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._left -= time.monotonic() - self._began

    def refuse_late(self) -> None:
        """Refuse to go on if the time is over.

        Raises
        ------
        SqlError
            It is.
        """
        if time.monotonic() - self._began >= self._left:
            raise SqlError(f"the query took longer than {self._seconds:g} s")
