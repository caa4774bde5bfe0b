"""The job `stocks` beside what users would pick instead, on the same file: ``python -m benchmarks.comparison``.

Each is a process of its own, from its start to its end: wall time, CPU time, and the greatest resident size. Those of
Spark are without its JVM. The job is `dagster job execute` with fetching, versions, checks, publication and the table
of latest rows. The alternatives, in `benchmarks/alternatives.py`, write a table and do nothing else.

``--python`` names the interpreter of an environment with `dagster-duckdb-pandas` and `dagster-polars`; without it,
those two are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from benchmarks.alternatives import ALTERNATIVES
from lake_assets.defs.stocks.schema import COLUMNS

HOUR = "2017-07-28-08:00"
JOB = ("-m", "dagster", "job", "execute", "-m", "lake_assets.definitions", "-j", "stocks", "--tags")
OURS = "lake_assets, job stocks"
HERE = Path(__file__).parent.parent


@dataclass(frozen=True)
class Cost:
    """What a process cost: seconds, those of the processor, and MiB."""

    seconds: float
    cpu: float
    peak: float


def run(command: list[str], environment: dict[str, str], folder: Path) -> Cost:
    """Run a process to its end, with its children."""
    with (folder / "log").open("wb") as log:
        begin = perf_counter()
        process = subprocess.Popen(command, cwd=HERE, env={**os.environ, **environment}, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} failed:\n{(folder / 'log').read_text()[-3000:]}")
    return Cost(perf_counter() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def job(source: Path, folder: Path) -> Cost:
    """Run the job on a lake of its own."""
    (folder / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    environment = {
        "LAKE_HOME": str(folder / "home"),
        "DAGSTER_HOME": str(folder),
        "STOCKS_SOURCE": str(source.parent.parent),
    }
    return run([sys.executable, *JOB, json.dumps({"dagster/partition": HOUR})], environment, folder)


def main() -> None:
    """Print a line of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--python", help="interpreter with dagster-duckdb-pandas and dagster-polars")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lake-assets-benchmark-") as name:
        folder = Path(name)
        source = generated(folder, options.rows)
        schema = folder / "schema.json"
        schema.write_text(json.dumps({column.name: column.type for column in COLUMNS}))
        costs: dict[str, list[Cost]] = {}
        for turn in range(options.repeats):
            home = made(folder / f"job-{turn}")
            costs.setdefault(OURS, []).append(job(source, home))
            for side in ALTERNATIVES:
                other = side.startswith("Dagster")
                if other and not options.python:
                    continue
                out = made(folder / f"{side}-{turn}")
                python = options.python if other else sys.executable
                command = [python, "-m", "benchmarks.alternatives", side, str(schema), str(source), str(out)]
                costs.setdefault(side, []).append(run(command, {"DAGSTER_HOME": ""}, folder))
    print(f"{options.rows:,} rows, median of {options.repeats}:")
    ours = statistics.median(cost.seconds for cost in costs[OURS])
    for side, each in costs.items():
        seconds, cpu, peak = (
            statistics.median(getattr(cost, field) for cost in each) for field in ("seconds", "cpu", "peak")
        )
        print(
            f"  {side}: {seconds:.1f} s, {cpu:.1f} s of CPU time, {peak:.0f} MiB; the job takes {ours / cpu:.2f} times"
        )


def generated(folder: Path, rows: int) -> Path:
    """Return a generated file of the hour."""
    from lake_assets.defs.stocks.partitions import hour_of
    from lake_assets.defs.stocks.source import open_source

    return open_source("", generator_rows=rows).fetch(hour_of(HOUR), made(folder / "source" / "2017-07-28")).path


def made(folder: Path) -> Path:
    """Return a new folder."""
    folder.mkdir(parents=True)
    return folder


if __name__ == "__main__":
    main()
