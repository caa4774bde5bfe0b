"""Limits on the process of the command `sql`, beyond those of DuckDB.

DuckDB does not count single huge values, such as those of `repeat`, and stops a function only when it returns. So the
system bounds the memory of the process, and the process ends if a function goes on after the query's time.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from lake_assets.sql.engine import Bounds

_BESIDES = 4 << 30
"""What the process may take besides the result: DuckDB's 2 GB, values that it does not count, and the program."""


@contextmanager
def limited_process(bounds: Bounds) -> Generator[None]:
    """Bound the memory that the process may still take, while something runs.

    Parameters
    ----------
    bounds
        How much a query may take.
    """
    before = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = _data_bytes() + _BESIDES + 2 * bounds.result_bytes
    limits = [limit for limit in (*before, wanted) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def end_late(seconds: float) -> Callable[[], None]:
    """Return what ends the process, and says that a query took too long.

    Parameters
    ----------
    seconds
        How long it may take.
    """

    def end() -> None:
        print(f"lake-assets: the query took longer than {seconds:g} s, and did not stop", file=sys.stderr, flush=True)
        os._exit(1)

    return end


def _data_bytes() -> int:
    """Return the memory that the limit counts, as far as the process has it already."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return int(status.partition("VmData:")[2].split()[0]) << 10
