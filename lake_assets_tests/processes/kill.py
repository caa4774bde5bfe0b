"""Where a job is killed (-9)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from lake_assets_tests.processes.job_process import JobProcess
from lake_assets_tests.processes.warm_job import WarmJob


@dataclass(frozen=True)
class Kill:
    """Where the job dies: in a call of its own code, at a line that it logs, or once certain files lie in its home.

    Parameters
    ----------
    name
        What it is doing then.
    whom
        ``alone``, the Python process, whose JVM lives on for a moment; or the ``group`` with Spark's JVM.
    call
        Function, number of its call, ``before`` or ``after``.
    line, files
        A pattern of what it logs; one of paths below the home.
    delay
        Seconds to wait after that: for where Spark is at work, and nothing is logged.
    """

    name: str
    whom: str
    call: tuple[str, int, str] | None = None
    line: str = ""
    files: str = ""
    delay: float = 0.0

    def __str__(self) -> str:
        return self.name.replace(" ", "-") + f"-{self.whom}"

    @property
    def deadly(self) -> tuple[str, ...]:
        """Arguments of :mod:`killed_at`; none where it is killed from without."""
        return (self.call[0], str(self.call[1]), self.call[2], self.whom) if self.call else ()

    def strike(self, job: JobProcess | WarmJob, home: Path) -> None:
        """Kill a job there, which was started with what is deadly."""
        if self.line:
            job.wait_for_line(self.line)
        if self.files:
            job.wait_until(lambda: any(home.glob(self.files)))
        if not self.call:
            time.sleep(self.delay)
            job.kill(group=self.whom == "group")
        assert job.wait() == -9, f"{self.name}: not reached\n{job.text[-4000:]}"
