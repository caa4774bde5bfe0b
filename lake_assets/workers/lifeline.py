"""The pipe that ties a worker to its parent, and the folder of its warm-up, which goes away with it."""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

_SUFFIX = ".warm-up"


class Lifeline:
    """A pipe whose other end the parent holds: it closes when the parent wants the worker to end, or is dead.

    Parameters
    ----------
    pipe
        File descriptor of the pipe.
    action
        What is done then, in a thread, until :meth:`instead` says otherwise.
    """

    def __init__(self, pipe: int, action: Callable[[], None]) -> None:
        self._pipe = pipe
        self._action = action
        self._closed = False
        self._mutex = threading.Lock()
        threading.Thread(target=self._wait, daemon=True, name="lifeline").start()

    def instead(self, action: Callable[[], None]) -> None:
        """Do something else when the pipe closes; at once if it has closed.

        Parameters
        ----------
        action
            What is done.
        """
        with self._mutex:
            self._action = action
            if self._closed:
                action()

    def _wait(self) -> None:
        while os.read(self._pipe, 1):
            pass
        with self._mutex:
            self._closed = True
            self._action()


@contextmanager
def scratch(workers: Path, name: str) -> Generator[Path]:
    """Yield a folder for a worker's warm-up. It is removed afterwards, by its parent if the worker was killed.

    Parameters
    ----------
    workers
        Folder of the workers.
    name
        Name of the worker.
    """
    folder = workers / f"{name}{_SUFFIX}"
    folder.mkdir(mode=0o700)
    # Held until the process ends, which tells others that it lives.
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        os.close(held)
        shutil.rmtree(folder, ignore_errors=True)


def remove_scratch(workers: Path) -> None:
    """Remove the folders of warm-ups whose process is dead.

    Parameters
    ----------
    workers
        Folder of the workers.
    """
    for folder in workers.glob(f"*{_SUFFIX}"):
        try:
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(held)
