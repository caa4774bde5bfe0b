"""A lower priority for a while, of a process and of what it starts."""

from __future__ import annotations

import os
import resource
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

_LOWER = 10


@contextmanager
def lowered() -> Generator[None]:
    """Work at a lower priority within this, if the system allows to go back to the usual one."""
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    may_return = os.geteuid() == 0 or resource.getrlimit(resource.RLIMIT_NICE)[0] >= 20 - usual
    if not may_return:
        yield
        return
    _set(usual + _LOWER)
    try:
        yield
    finally:
        _set(usual)


def _set(priority: int) -> None:
    for thread in _threads():
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, priority)


def _threads() -> Iterator[int]:
    """Yield all threads of this process and of those that it has started: each has a priority of its own."""
    own = psutil.Process()
    for process in (own, *own.children(recursive=True)):
        with suppress(OSError):
            yield from (int(thread.name) for thread in Path(f"/proc/{process.pid}/task").iterdir())
