"""The process of a job over 10 million rows against 2 million: ``python -m benchmarks.memory [ROWS]``.

Each is a real `dagster job execute` on a lake of its own. What counts is the greatest resident size that the kernel
has seen of the process (VmHWM), its own and that of files it has mapped.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TARGET = 1.2
JOB = ("job", "execute", "-m", "lake_assets.definitions", "-j", "stocks")
HOUR = '{"dagster/partition": "2017-07-28-08:00"}'


def peak(rows: int, folder: Path) -> tuple[float, float]:
    """Return the peak in MiB, and the seconds, of one run over so many rows."""
    environment = {
        **os.environ,
        "LAKE_HOME": str(folder / "home"),
        "STOCKS_SOURCE": "generated",
        "STOCKS_ROWS": str(rows),
        "DAGSTER_HOME": str(folder),
    }
    (folder / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    began = time.perf_counter()
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
    return most / 1024, time.perf_counter() - began


def _high_water(pid: int) -> int:
    """Return the peak resident size of a process so far, in KiB; 0 where it is just gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def main() -> None:
    """Print both peaks and their ratio."""
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    peaks: list[float] = []
    for rows in (most // 5, most):
        with tempfile.TemporaryDirectory(prefix="lake-assets-") as folder:
            mebibytes, seconds = peak(rows, Path(folder))
        peaks.append(mebibytes)
        print(f"{rows:>12,} rows: peak {mebibytes:5.0f} MiB, {seconds:.0f} s", flush=True)
    print(f"memory: {peaks[1] / peaks[0]:.2f} times (bound {TARGET})")


if __name__ == "__main__":
    main()
