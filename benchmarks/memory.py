"""The process of a job over 50 million rows against 10 million: ``python -m benchmarks.memory [ROWS]``.

Each is a real `dagster job execute` on a lake of its own, with generating the file. What counts is the greatest
resident size that the kernel has seen of the process (VmHWM), its own and that of files it has mapped, and the CPU time
for a million rows.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TARGET = 1.2
MOST_MEBIBYTES = 1024
JOB = ("job", "execute", "-m", "lake_assets.definitions", "-j", "stocks")
HOUR = '{"dagster/partition": "2017-07-28-08:00"}'


def peak(rows: int, folder: Path) -> tuple[float, float, float]:
    """Return the peak in MiB, the seconds, and those of the processor, of one run over so many rows."""
    environment = {
        **os.environ,
        "LAKE_HOME": str(folder / "home"),
        "STOCKS_SOURCE": "generated",
        "STOCKS_ROWS": str(rows),
        "DAGSTER_HOME": str(folder),
    }
    (folder / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    began, used = time.perf_counter(), _children()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dagster", *JOB, "--tags", HOUR],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
        )
        most = 0
        while process.poll() is None:
            most = max(most, _high_water(process.pid))
            time.sleep(0.2)
    if process.returncode:
        raise SystemExit((folder / "log").read_text()[-4000:])
    return most / 1024, time.perf_counter() - began, _children() - used


def _children() -> float:
    """Return the CPU time of the processes that have ended."""
    times = resource.getrusage(resource.RUSAGE_CHILDREN)
    return times.ru_utime + times.ru_stime


def _high_water(pid: int) -> int:
    """Return the peak resident size of a process so far, in KiB; 0 where it is just gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def main() -> None:
    """Print peaks and rates, and their ratios."""
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000_000
    peaks: list[float] = []
    rates: list[float] = []
    for rows in (most // 5, most):
        with tempfile.TemporaryDirectory(prefix="lake-assets-") as folder:
            mebibytes, seconds, used = peak(rows, Path(folder))
        peaks.append(mebibytes)
        rates.append(used * 1e6 / rows)
        print(
            f"{rows:>12,} rows: peak {mebibytes:5.0f} MiB, {seconds:.0f} s, {used:.0f} s of CPU time, "
            f"{rates[-1]:.2f} for a million rows",
            flush=True,
        )
    print(f"memory: {peaks[1] / peaks[0]:.2f} times (bound {TARGET})")
    print(f"memory: at most {max(peaks):.0f} MiB (bound {MOST_MEBIBYTES})")
    print(f"CPU time for a row: {rates[1] / rates[0]:.2f} times (bound 1.2)")


if __name__ == "__main__":
    main()
