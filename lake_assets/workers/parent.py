"""The parent of warm workers: starts them, replaces each that ends, and ends the runs of one that was killed."""

from __future__ import annotations

import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress

from dagster import DagsterInstance

from lake_assets.workers import messages
from lake_assets.workers.assigned import end_runs_of
from lake_assets.workers.lifeline import remove_scratch

_SHORT = 30.0
"""A worker that lives for less seconds than this has failed to start."""
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 300.0


class Workers:
    """A number of warm workers.

    Parameters
    ----------
    instance
        The Dagster instance.
    command
        Returns the command that starts a worker of a name.
    number
        How many there are.
    say
        Called with a line on what happens.
    """

    def __init__(
        self,
        instance: DagsterInstance,
        command: Callable[[str], Sequence[str]],
        number: int,
        say: Callable[[str], None],
    ) -> None:
        self._instance = instance
        self._folder = messages.folder_of(instance)
        self._command = command
        self._say = say
        self._stopping = threading.Event()
        self._living: dict[str, subprocess.Popen[bytes]] = {}
        self._mutex = threading.Lock()
        self._threads = [threading.Thread(target=self._keep_one, daemon=True) for _ in range(number)]

    def start(self) -> None:
        """Start the workers, after the runs were ended of those that an earlier parent has left dead."""
        remove_scratch(self._folder)
        for name in messages.names(self._folder):
            try:
                messages.ask(self._folder, name, {"ask": messages.AT, "run": ""}, 1)
            except messages.NoWorker:
                self._bury(name)
            except messages.NoAnswer:
                continue
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let the workers end: those that warm up or are idle at once, others after their run."""
        with self._mutex:
            self._stopping.set()
            for process in self._living.values():
                assert process.stdin is not None
                process.stdin.close()

    def kill(self) -> None:
        """End the workers at once."""
        with self._mutex:
            for process in self._living.values():
                process.kill()

    def join(self) -> None:
        """Wait until all workers have ended."""
        for thread in self._threads:
            thread.join()

    def _keep_one(self) -> None:
        pause = _FIRST_PAUSE
        while not self._stopping.is_set():
            name = uuid.uuid4().hex[:12]
            began = time.monotonic()
            with self._mutex:
                if self._stopping.is_set():
                    return
                # A pipe that closes when this process ends, however it ends. Ctrl-C is for this process only.
                process = subprocess.Popen(self._command(name), stdin=subprocess.PIPE, start_new_session=True)
                self._living[name] = process
            code = process.wait()
            with self._mutex:
                del self._living[name]
            self._bury(name)
            if code and not self._stopping.is_set() and time.monotonic() - began < _SHORT:
                self._say(f"The warm worker {name} ended with code {code}; the next one starts in {pause:.0f} s")
                self._stopping.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                pause = _FIRST_PAUSE

    def _bury(self, name: str) -> None:
        messages.remove(self._folder, name)
        remove_scratch(self._folder)
        # Without the database, Dagster's monitoring finds the run dead.
        with suppress(Exception):
            for run_id in end_runs_of(self._instance, name):
                self._say(f"Run {run_id} has ended: its warm worker {name} was killed or has crashed")
