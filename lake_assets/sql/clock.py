"""The time that a query may take."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from lake_assets.sql.errors import SqlError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

GRACE = 30.0
"""The seconds that DuckDB has to stop."""


class Clock:
    """Counts the time in DuckDB, and interrupts it when the time is over.

    Parameters
    ----------
    connection
        Where DuckDB works.
    seconds
        How long it may.
    abandon
        Called if it goes on for half a minute after that.
    """

    def __init__(
        self, connection: DuckDBPyConnection, seconds: float, abandon: Callable[[], object] | None = None
    ) -> None:
        self._connection, self._seconds, self._left, self._abandon = connection, seconds, seconds, abandon
        self._is_over = False

    def __enter__(self) -> None:
        self._began = time.monotonic()
        self._done = threading.Event()
        threading.Thread(target=self._watch, args=[self._done, max(self._left, 0)], daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._left -= time.monotonic() - self._began

    def _watch(self, done: threading.Event, left: float) -> None:
        if done.wait(left):
            return
        self._is_over = True
        self._connection.interrupt()
        if self._abandon is not None and not done.wait(GRACE):
            self._abandon()

    def refuse_late(self) -> None:
        """Refuse to go on if the time is over.

        Raises
        ------
        SqlError
            It is.
        """
        if self._is_over:
            raise SqlError(f"the query took longer than {self._seconds:g} s")
