"""The executors: where tasks run. This one is the process itself; :mod:`.spark` has Spark's workers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from lake_assets.compute.parts import Part, Write


class Executor(Protocol):
    """Runs writes, several at once."""

    @property
    def stragglers(self) -> bool:
        """Whether an attempt that was given up may still write after :meth:`run` has returned."""
        ...

    def run(self, writes: Sequence[Write]) -> list[Part]:
        """Run all writes, and return what each wrote, in their order. Other files are not left in their folders.

        Parameters
        ----------
        writes
            The writes.
        """
        ...


class LocalExecutor:
    """Runs writes in threads of this process, which each hold a block at a time.

    Parameters
    ----------
    threads
        The number of threads; by default that of the processors that this process may use.
    """

    stragglers = False

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads or len(os.sched_getaffinity(0))

    def run(self, writes: Sequence[Write]) -> list[Part]:
        """Run all writes, and return what each wrote, in their order.

        Parameters
        ----------
        writes
            The writes.
        """
        if len(writes) == 1:
            return [writes[0].run()]
        pool = ThreadPoolExecutor(min(self._threads, len(writes)) or 1)
        try:
            return list(pool.map(Write.run, writes))
        finally:
            # After an error, what has not begun is not begun any more.
            pool.shutdown(cancel_futures=True)
