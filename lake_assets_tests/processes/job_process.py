"""A job in a process of its own, as a user starts it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from lake_assets import domains

PATIENCE = 560.0
"""Seconds for what takes seconds: the machine may be busy with anything."""

KILLED_AT = str(Path(__file__).with_name("killed_at.py"))


class JobProcess:
    """A running `dagster job execute` in a session of its own, whose stderr is kept line by line.

    Parameters
    ----------
    name
        Name of the job.
    key
        Partition; none if empty.
    environment
        Settings; those of whoever runs the tests do not count.
    killed_at
        Arguments of :mod:`killed_at`, where it is to kill itself.
    command
        Arguments of Python instead, of what executes jobs.
    """

    def __init__(
        self,
        name: str,
        key: str,
        cwd: Path,
        environment: Mapping[str, str],
        killed_at: tuple[str, ...] = (),
        command: Sequence[str] = (),
    ) -> None:
        self.name = name
        inherited = dict(os.environ)
        for setting in [*(variable.name for variable in domains.all_variables()), "DAGSTER_HOME"]:
            inherited.pop(setting, None)
        program = [KILLED_AT, *killed_at] if killed_at else ["-m", "dagster"]
        job = ["job", "execute", "-m", "lake_assets.definitions", "-j", name]
        tags = ["--tags", f'{{"dagster/partition": "{key}"}}'] if key else []
        self.process = subprocess.Popen(
            [sys.executable, *(command or [*program, *job, *tags])],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            cwd=cwd,
            env={**inherited, **environment},
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._more = threading.Condition()
        self._ended = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._more:
                self.lines.append(line)
                self._more.notify_all()
        with self._more:
            self._ended = True
            self._more.notify_all()

    @property
    def text(self) -> str:
        """What it has said so far."""
        return "".join(self.lines)

    @property
    def run_id(self) -> str:
        """Id of the Dagster run."""
        found = re.search(rf" - {self.name} - ([0-9a-f-]{{36}}) - ", self.text)
        assert found, f"no run started:\n{self.text[-4000:]}"
        return found[1]

    def wait_for_line(self, pattern: str, since: int = 0) -> None:
        """Wait until a line matches, of those that come after so many."""
        seen = re.compile(pattern)

        def is_there() -> bool:
            return any(seen.search(line) for line in self.lines[since:])

        with self._more:
            came = self._more.wait_for(lambda: self._ended or is_there(), PATIENCE)
        assert came, f"{pattern!r} did not come in {PATIENCE:g} s:\n{self.text[-4000:]}"
        assert is_there(), f"ended without {pattern!r}:\n{self.text[-4000:]}"

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition of the world outside; the process must not end before."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert self.process.poll() is None, f"it ended too early:\n{self.text[-4000:]}"
            assert time.monotonic() < deadline, f"not in {PATIENCE:g} s:\n{self.text[-4000:]}"
            time.sleep(0.003)

    @property
    def pid(self) -> int:
        """Id of its process, and of its group."""
        return self.process.pid

    def ends_within(self, seconds: float) -> bool:
        """Tell whether it ends within so many seconds."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self, *, group: bool) -> None:
        """Kill -9 the process alone, or its whole group with Spark's JVM."""
        (os.killpg if group else os.kill)(self.process.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Wait for its end and return its exit code."""
        return self.process.wait(PATIENCE)

    def succeed(self) -> None:
        """Wait for its end, which must be good."""
        assert self.wait() == 0, self.text[-6000:]

    def family(self) -> list[psutil.Process]:
        """Return what lives of its session: itself, Spark's JVM, Spark's workers."""
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                if os.getsid(process.pid) == self.process.pid and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def wait_for_orphans(self) -> None:
        """Wait until Spark has noticed that its driver is dead."""
        deadline = time.monotonic() + PATIENCE
        while left := self.family():
            assert time.monotonic() < deadline, f"still there: {left}"
            time.sleep(0.05)

    def end(self) -> None:
        """End all of the family, for a test that failed half way."""
        for process in self.family():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
