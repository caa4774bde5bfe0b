"""SQL on an asset, beside DuckDB straight on the same files: ``python -m benchmarks.sql_query [lakefs]``.

The asset has ten million bars in the files of 24 hours. Both open a connection of their own for each query, and
take turns; medians of CPU time are compared, since a shared machine says little about the time on the clock, which is
printed, too. The target is 1.2 times at most. With ``lakefs``, the same asset is on a server of lakeFS on this machine,
too, and that is compared with the embedded lake; there the target is 2 times.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb

from lake_assets.lake.audit import Override
from lake_assets.lake.contract import Lake
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
        lake = GitLake(Path(folder, "lake"))
        made = Path(folder, "bars.parquet")
        with duckdb.connect() as connection:
            connection.execute(f"COPY ({BARS.format(rows=ROWS // 24)}) TO '{made}'")
        _fill(lake, made)
        files = [str(path) for path in sorted(Path(lake.path("main", "bars").root).rglob("*.parquet"))]

        def ours(text: str, lake: Lake = lake) -> None:
            with run_query(text, LakeCatalog(lake=lake, folder_of=folder_of)) as result:
                list(result)

        def straight(text: str) -> None:
            with duckdb.connect() as connection:
                connection.execute(f"CREATE VIEW bars AS FROM read_parquet({files}, hive_partitioning = true)")
                connection.sql(text).to_arrow_reader(20_000).read_all()

        for name, text in QUERIES.items():
            (mine, wall), (other, others_wall) = _medians(
                lambda text=text: ours(text), lambda text=text: straight(text)
            )
            print(f"{name}: {mine * 1000:.0f} ms, DuckDB {other * 1000:.0f} ms, {mine / other:.2f} (target {TARGET})")
            clock = f"{wall * 1000:.0f} ms, DuckDB {others_wall * 1000:.0f} ms, {wall / others_wall:.2f}"
            print(f"  on the clock: {clock}", flush=True)
        if "lakefs" in sys.argv[1:]:
            from lake_assets_tests.lake.backends import LakeSpec, fresh_place

            server = LakeSpec("lakefs", fresh_place("lakefs", Path(folder))).open()
            _fill(server, made)
            for name, text in QUERIES.items():
                (mine, _), (other, _) = _medians(lambda text=text: ours(text, server), lambda text=text: ours(text))
                times = f"lakeFS {mine * 1000:.0f} ms, embedded {other * 1000:.0f} ms"
                print(f"{name}: {times}, {mine / other:.2f} (target 2)")
            server.close()
        lake.close()


def _fill(lake: Lake, file: Path) -> None:
    lake.create_branch("run-bars", "main")
    with lake.write("run-bars", "bars") as write:
        for hour in range(24):
            place = f"{write.root}/day=2017-07-28/hour={hour:02}"
            write.filesystem.create_dir(place, recursive=True)
            with write.filesystem.open_output_stream(f"{place}/part-0.parquet") as stream:
                stream.write(file.read_bytes())
    lake.merge("run-bars", "main", "Publish", {}, audit=Override("the benchmark", "it fills the lake"))


def _medians(*functions: Callable[[], None]) -> list[tuple[float, float]]:
    """Return the medians of each function's CPU time, and of its time on the clock."""
    times: list[list[tuple[float, float]]] = [[] for _ in functions]
    for _ in range(RUNS):
        for at, function in enumerate(functions):
            cpu, clock = time.process_time(), time.perf_counter()
            function()
            times[at].append((time.process_time() - cpu, time.perf_counter() - clock))
    return [(statistics.median(cpu for cpu, _ in taken), statistics.median(at for _, at in taken)) for taken in times]


if __name__ == "__main__":
    main()
