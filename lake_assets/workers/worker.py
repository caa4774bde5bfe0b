"""A warm worker: executes runs in its main thread, one at a time, and answers to launchers in another thread."""

from __future__ import annotations

import gc
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus

from lake_assets._dagster import capture_interrupts, execute_run
from lake_assets.runs.lock import acquire_run_lock, release_run_lock
from lake_assets.spark.warm import clean_jvm
from lake_assets.workers import messages
from lake_assets.workers.assigned import assign, end
from lake_assets.workers.lifeline import Lifeline
from lake_assets.workers.surroundings import Sources, differences

_SECONDS = 10.0
"""Time in which a question has come, once somebody has connected."""
_TIDYING = 3.0
"""Seconds that the next run waits for a worker that tidies up after one that has ended."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """After what a worker is replaced by a new one.

    Parameters
    ----------
    runs
        Number of runs.
    memory
        Bytes of memory of the worker, with Spark's JVM, after a run.
    """

    runs: int
    memory: int


class Worker:
    """A warm worker.

    Parameters
    ----------
    instance
        The Dagster instance.
    name
        Name of the worker.
    module
        Module of the code location that is loaded.
    spark_keys
        Keys of its resources of Spark. A run whose configuration changes one of them may not fit.
    sources
        The code that is loaded.
    environment
        The environment in which it was loaded.
    bounds
        After what it ends.
    """

    def __init__(
        self,
        instance: DagsterInstance,
        name: str,
        *,
        module: str,
        spark_keys: frozenset[str],
        sources: Sources,
        environment: Mapping[str, str],
        bounds: Bounds,
    ) -> None:
        self._instance = instance
        self._name = name
        self._module = module
        self._spark_keys = spark_keys
        self._sources = sources
        self._environment = environment
        self._bounds = bounds
        self._folder = messages.folder_of(instance)
        self._mutex = threading.Lock()
        self._free = threading.Condition(self._mutex)
        self._next: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        # What follows is changed with the mutex held.
        self._at: str | None = None
        self._tidies = False
        self._ends = False
        # Read by the handler of a signal, which must not wait.
        self._executing: str | None = None
        self._to_stop: str | None = None

    def serve(self, lifeline: Lifeline) -> None:
        """Execute runs until it is to be replaced.

        Parameters
        ----------
        lifeline
            The pipe to its parent. When it closes, the worker ends, after the run that it is at.
        """
        signal.signal(signal.SIGUSR1, self._stop_named)
        server = messages.listen(self._folder, self._name)
        threading.Thread(target=self._answer_all, args=(server,), daemon=True, name="answers").start()
        lifeline.instead(self._end_when_idle)
        runs = 0
        while (run_id := self._next.get()) is not None:
            good = self._execute(run_id)
            runs += 1
            last = not good or runs >= self._bounds.runs or _memory() > self._bounds.memory
            with self._mutex:
                self._at = None
                self._tidies = False
                self._ends = self._ends or last
                self._free.notify_all()
                if self._ends:
                    break
        messages.remove(self._folder, self._name)

    def _execute(self, run_id: str) -> bool:
        """Execute a run. Returns whether this process is as good as new after it."""
        before, place = dict(os.environ), Path.cwd()
        try:
            run = self._instance.get_run_by_id(run_id)
            if run is not None and run.status == DagsterRunStatus.CANCELING:
                self._instance.report_run_canceled(run)
            elif run is not None and not run.is_finished:
                # Dagster notes a signal, and raises it where that is safe.
                with capture_interrupts():
                    self._executing = run_id
                    if self._to_stop == run_id:
                        self._stop_named(signal.SIGUSR1, None)
                    execute_run(self._instance, run_id)
                    self._executing = None
                # Dagster restores only the handler of SIGINT, and gives it to SIGTERM, too.
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
        finally:
            self._executing = None
            good = self._end(run_id)
            with self._mutex:
                self._tidies = True
        os.environ.clear()
        os.environ.update(before)
        os.chdir(place)
        gc.collect()
        return clean_jvm() and good

    def _end(self, run_id: str) -> bool:
        """Let nothing of a run be left: it has ended, and nobody holds its lock. Returns whether it succeeded."""
        run = self._instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished:
            end(self._instance, run, f"The warm worker {self._name} has ended it, and it was not finished.")
        release_run_lock(self._instance, run_id)
        return run is not None and run.status == DagsterRunStatus.SUCCESS

    def _stop_named(self, number: int, frame: FrameType | None) -> None:
        """Interrupt the run that is to stop, if it is the one that is executed: a signal may come late."""
        del number
        handler = signal.getsignal(signal.SIGINT)
        if self._to_stop is not None and self._to_stop == self._executing and callable(handler):
            self._to_stop = None
            handler(signal.SIGINT, frame)

    def _end_when_idle(self) -> None:
        with self._mutex:
            self._ends = True
            if self._at is None:
                self._next.put(None)

    def _answer_all(self, server: socket.socket) -> None:
        while True:
            connection, _ = server.accept()
            # A launcher that is gone is none of the worker's concern.
            with connection, suppress(OSError, ValueError):
                connection.settimeout(_SECONDS)
                question = messages.receive(connection)
                if question is not None:
                    self._answer(connection, question)

    def _answer(self, connection: socket.socket, question: Mapping[str, Any]) -> None:
        run_id = str(question["run"])
        if question["ask"] == messages.RUN:
            self._answer_run(connection, run_id, question["environment"])
            return
        with self._mutex:
            at = self._at == run_id
            if at and question["ask"] == messages.STOP:
                self._to_stop = run_id
                # The main thread executes the handler, and wakes up for it.
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
        messages.send(connection, {"at": at})

    def _answer_run(self, connection: socket.socket, run_id: str, environment: Mapping[str, str]) -> None:
        with self._mutex:
            # Of two queued runs of a pool, the second comes as soon as the first has ended.
            self._free.wait_for(lambda: not self._tidies, _TIDYING)
            why = self._refusal(run_id, environment)
            if why is None:
                # Before the answer: if this process is killed after it, the lock and the tag tell whose run it was.
                acquire_run_lock(self._instance, run_id)
                assign(self._instance, run_id, self._name)
                self._at = run_id
        try:
            messages.send(connection, {"taken": why is None, "why": why})
        except OSError:
            # The launcher does not know that it was taken. It may be dead, or has given up.
            if why is None:
                self._give_back(run_id)
            raise
        if why is None:
            self._next.put(run_id)

    def _give_back(self, run_id: str) -> None:
        self._end(run_id)
        with self._mutex:
            self._at = None
        self._end_when_idle()

    def _refusal(self, run_id: str, environment: Mapping[str, str]) -> str | None:
        """Return why the worker does not execute a run. If its code has changed, it ends."""
        if self._at is not None:
            return f"it is at run {self._at}"
        if self._ends:
            return "it is being replaced"
        if names := differences(self._environment, environment):
            return f"it was started with another value of {', '.join(names[:5])}"
        if changed := self._sources.changed():
            self._ends = True
            self._next.put(None)
            return f"{changed} has changed since it was loaded"
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return "Dagster has no such run to execute"
        return _misfit(run, self._module, self._spark_keys)


def _misfit(run: DagsterRun, module: str, spark_keys: frozenset[str]) -> str | None:
    """Return why the code that is loaded is not that of a run, or why its Spark may be another one."""
    origin = run.job_code_origin.repository_origin if run.job_code_origin is not None else None
    if origin is None or getattr(origin.code_pointer, "module", None) != module:
        return f"it has loaded {module}, and the run is not of this code location"
    if origin.executable_path != sys.executable or origin.container_image:
        return f"it is a process of {sys.executable}, and the run asks for {origin.executable_path}"
    configured: Any = run.run_config.get("resources", {})
    if changed := spark_keys & set(configured):
        return f"the run's configuration changes the resource {min(changed)}"
    return None


def _memory() -> int:
    """Return the memory of this process and of those that it has started, in bytes."""
    own = psutil.Process()
    total = 0
    for process in (own, *own.children(recursive=True)):
        with suppress(psutil.Error):
            total += process.memory_info().rss
    return total
