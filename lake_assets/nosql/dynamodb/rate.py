"""A limit of what is written in a second."""

from __future__ import annotations

import threading
import time


class Rate:
    """Spreads writes over time.

    Parameters
    ----------
    per_second
        The most items in a second.
    """

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._next = time.monotonic()
        self._lock = threading.Lock()

    def wait(self, count: int) -> None:
        """Wait until items may be written.

        Parameters
        ----------
        count
            Their number.
        """
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next)
            self._next = start + count / self._per_second
        time.sleep(max(0.0, start - now))
