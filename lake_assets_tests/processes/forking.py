"""The other side of :mod:`forked_runs`: starts its processes, traces them, and keeps what they begin with."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from dagster import DagsterInstance

from lake_assets import domains

PROGRAM = [sys.executable, "-B", "-m", "lake_assets_tests.processes.forked_runs"]

# One database for the events of all runs takes half the time of one a run.
_SETTINGS = """\
telemetry: {{enabled: false}}
event_log_storage:
  module: dagster._core.storage.event_log
  class: ConsolidatedSqliteEventLogStorage
  config: {{base_dir: {folder}/history}}
"""


class ForkedRuns:
    """A lake's home, and runs there in processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.home, self.dagster = folder / "home", folder / "dagster"
        self._folder, self._kept = folder, folder / "kept"
        self._kept.mkdir(parents=True)
        for home in (self.dagster, folder / "rehearsal" / "dagster"):
            home.mkdir(parents=True)
            (home / "dagster.yaml").write_text(_SETTINGS.format(folder=home))
            with DagsterInstance.from_config(str(home)) as instance:
                instance.get_runs()
        inherited = {variable.name for variable in domains.all_variables()}
        environment = {name: value for name, value in os.environ.items() if name not in inherited}
        with (folder / "said").open("w") as said:
            self._parent = subprocess.Popen(
                [*PROGRAM, str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                env=environment,
            )

    def close(self) -> None:
        self._parent.communicate()
        assert self._parent.returncode == 0

    def run(self, run_id: str, price: float, options: Sequence[str] = ()) -> int:
        """Run the graph, traced where there are options; return the process's exit code."""
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(f"{run_id} {price}\n")
        self._parent.stdin.flush()
        process = self._parent.stdout.readline().strip()
        try:
            strace = self._trace(process, options) if options else None
        finally:
            os.kill(int(process), signal.SIGCONT)
            code = int(self._parent.stdout.readline())
        if strace is not None:
            strace.communicate()
        return code

    def _trace(self, process: str, options: Sequence[str]) -> subprocess.Popen[str]:
        """Return a `strace` that has attached to a process."""
        command = ["strace", "-f", "-y", "-s", "0", "-p", process, "-o", str(self.log), *options]
        strace = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert strace.stderr is not None
        assert "attached" in (said := strace.stderr.readline()), said
        return strace

    @property
    def log(self) -> Path:
        return self._folder / "log"

    def keep(self) -> None:
        """Keep the state as it is now."""
        for path in filter(Path.is_dir, (self.home, self.dagster)):
            subprocess.run(["cp", "-a", str(path), str(self._kept)], check=True)

    def restore(self) -> None:
        """Go back to the state that was kept."""
        for path in (self.home, self.dagster):
            shutil.rmtree(path, ignore_errors=True)
            if (self._kept / path.name).is_dir():
                subprocess.run(["cp", "-a", str(self._kept / path.name), str(path)], check=True)

    def said(self) -> str:
        return (self._folder / "said").read_text()[-4000:]
