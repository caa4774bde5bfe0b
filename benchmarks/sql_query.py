"""SQL on an asset, beside DuckDB straight on the same files: ``python -m benchmarks.sql_query``.

The asset has ten million bars in the files of 24 hours. Both open a connection of their own for each query, and
take turns; medians of CPU time are compared, since a shared machine says little about the time on the clock. The target
is 1.2 times at most.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb

from lake_assets.lake.audit import Override
from lake_assets.lake.embedded import GitLake
from lake_assets.layout.asset_folders import folder_of
from lake_assets.sql.catalog import LakeCatalog
from lake_assets.sql.engine import run_query

TARGET = 1.2
RUNS, ROWS = 9, 10_000_000
BARS = """
    SELECT 'DE' || (range * 7919 % 5000) AS ISIN, range % 977 / 7 AS StartPrice, range % 983 / 7 AS EndPrice,
    range % 1013 AS TradedVolume, range % 31 AS NumberOfTrades FROM range({rows})
"""
QUERIES = {
    "sums by ISIN": "SELECT ISIN, sum(TradedVolume), avg(EndPrice) FROM bars GROUP BY ISIN ORDER BY 2 DESC, 1 LIMIT 10",
    "join": "SELECT count(*) FROM bars a JOIN (SELECT ISIN, max(EndPrice) p FROM bars GROUP BY 1) b USING (ISIN) "
    "WHERE a.EndPrice = b.p",
}


def main() -> None:
    """Print one line for each query."""
    with tempfile.TemporaryDirectory() as folder:
        lake = GitLake(Path(folder))
        lake.create_branch("run-bars", "main")
        with lake.write("run-bars", "bars") as write, duckdb.connect() as connection:
            for hour in range(24):
                place = Path(write.root, "day=2017-07-28", f"hour={hour:02}")
                place.mkdir(parents=True)
                connection.execute(f"COPY ({BARS.format(rows=ROWS // 24)}) TO '{place / 'part-0.parquet'}'")
        lake.merge("run-bars", "main", "Publish", {}, audit=Override("the benchmark", "it fills the lake"))
        files = [str(path) for path in sorted(Path(lake.path("main", "bars").root).rglob("*.parquet"))]

        def ours(text: str) -> None:
            with run_query(text, LakeCatalog(lake=lake, folder_of=folder_of)) as result:
                list(result)

        def straight(text: str) -> None:
            with duckdb.connect() as connection:
                connection.execute(f"CREATE VIEW bars AS FROM read_parquet({files}, hive_partitioning = true)")
                connection.sql(text).to_arrow_reader(20_000).read_all()

        for name, text in QUERIES.items():
            mine, other = _medians(lambda text=text: ours(text), lambda text=text: straight(text))
            print(f"{name}: {mine * 1000:.0f} ms, DuckDB {other * 1000:.0f} ms, {mine / other:.2f} (target {TARGET})")
        lake.close()


def _medians(*functions: Callable[[], None]) -> list[float]:
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(RUNS):
        for at, function in enumerate(functions):
            began = time.process_time()
            function()
            times[at].append(time.process_time() - began)
    return [statistics.median(taken) for taken in times]


if __name__ == "__main__":
    main()
