"""Loading the definitions against `import dagster`, each in a fresh process; no JVM may start."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

REPEATS = 7
LOAD = """
import lake_assets.definitions
import psutil
children = [child.name() for child in psutil.Process().children(recursive=True)]
assert not any("java" in name for name in children), children
"""
# Dagster was compiled when it was installed; our package is compiled when it is first imported, if that may be kept.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def seconds(code: str) -> float:
    """Return how long a fresh interpreter takes to run ``code``."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=ENVIRONMENT)
    return time.perf_counter() - begin


def main() -> None:
    """Alternate the two and print the ratio of their medians."""
    for code in ("import dagster", LOAD):
        seconds(code)  # Fill the page cache and the bytecode cache.
    ours: list[float] = []
    baseline: list[float] = []
    for _ in range(REPEATS):
        baseline.append(seconds("import dagster"))
        ours.append(seconds(LOAD))
    ratio = statistics.median(ours) / statistics.median(baseline)
    print(
        f"definitions load: {statistics.median(ours):.2f} s against {statistics.median(baseline):.2f} s for "
        f"`import dagster`: {ratio:.2f} times (bound 1.50)"
    )


if __name__ == "__main__":
    main()
