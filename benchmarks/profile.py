"""A profile of a million rows: 20 columns beside DuckDB's SUMMARIZE, 200 columns, and the merge of 1,000 states."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import duckdb
import numpy as np
import pyarrow as pa

from lake_assets.quality import Profile, profile
from lake_assets.quality.profile import merged

ROWS = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000


def table(rows: int, times: int = 1) -> pa.Table:
    """Return 20 columns, or some times 20: floats, integers, texts, flags and times."""
    rng = np.random.default_rng(1)
    isins = pa.array([f"DE{at:010d}" for at in range(700)])
    columns: dict[str, object] = {}
    for at in range(times):
        columns |= {f"float{at}_{each}": rng.normal(size=rows) for each in range(8)}
        columns |= {f"integer{at}_{each}": rng.integers(0, 10 ** (each + 2), rows) for each in range(4)}
        columns |= {f"isin{at}_{each}": isins.take(pa.array(rng.integers(0, 700, rows))) for each in range(4)}
        columns[f"mail{at}"] = pa.array([f"user-{each}@example.com" for each in rng.permutation(rows).tolist()])
        columns[f"flag{at}"] = pa.array(rng.random(rows) < 0.5)
        columns[f"time{at}"] = pa.array(rng.integers(0, 2**50, rows)).cast(pa.timestamp("us"))
        columns[f"day{at}"] = pa.array(rng.integers(17000, 18000, rows).astype("int32")).cast(pa.date32())
    return pa.table(columns)


def timed(what: str, work: Callable[[], object]) -> None:
    """Run it, and print its time."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    print(f"{what}: {time.perf_counter() - wall:.2f} s, {time.process_time() - cpu:.2f} s of processors", flush=True)


def main() -> None:
    """Print the times."""
    rows = table(ROWS)
    duckdb.register("frame", rows)
    timed("DuckDB's SUMMARIZE, 20 columns", lambda: duckdb.execute("SUMMARIZE frame").fetchall())
    timed("profile, 20 columns", lambda: profile(rows))
    states = [profile(rows.slice(at * 700, 700)).to_bytes() for at in range(10)]
    parts = [Profile.from_bytes(states[at % 10]) for at in range(1000)]
    timed("merge of 1,000 states", lambda: merged(parts))
    rows = table(ROWS, 10)
    timed("profile, 200 columns", lambda: profile(rows))


if __name__ == "__main__":
    main()
