"""Every benchmark in turn: `make bench`."""

from __future__ import annotations

import subprocess
import sys

BENCHMARKS = (
    "definitions_load",
    "lake_commit",
    "durable_publication",
    "many_publications",
    "content_version",
    "nosql_write",
    "sql_query",
    "stocks_graph",
    "comparison",
    "memory",
    "profile",
    "words_stream",
    "words_rdd",
    "checkpoint_places",
    "warm_words",
)


def main() -> None:
    """Run each in a process of its own, so that none warms another up."""
    for name in BENCHMARKS:
        print(f"== {name}", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)


if __name__ == "__main__":
    main()
