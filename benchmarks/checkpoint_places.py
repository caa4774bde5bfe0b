"""A stream's checkpoint on a branch of the lake against copying it: ``python -m benchmarks.checkpoint_places``.

One lake on lakeFS, one folder of lines, two assets with the same query in turns, each run with a local Spark session of
its own in a warm JVM. One has its checkpoint in a local folder, and new files are copied to the lake; the other has it
on a private branch, which Spark writes through S3A. Seconds are of CPU, of this process with its JVM, and of the lakeFS
server.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil

from benchmarks.words_stream import lines_of
from lake_assets_tests.audits import TESTS
from lake_assets_tests.lakefs_server import CREDENTIALS, own_server

PLACES = ("copied", "on_branch")


def cpu(process: psutil.Process) -> float:
    """Return the CPU seconds of a process and of those that it started."""
    took = 0.0
    for one in [process, *process.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            times = one.cpu_times()
            took += times.user + times.system + times.children_user + times.children_system
    return took


def runner(lake: Any, spark: Any, lines: Path, home: Path, state_store: str) -> Callable[[str], dict[str, Any]]:
    """Return what materializes and publishes the asset of a place."""
    from dagster import AssetsDefinition, DagsterInstance, asset, materialize

    from lake_assets.defs.words import queries
    from lake_assets.defs.words.source import FolderSource
    from lake_assets.io_managers.stream import StreamIOManager
    from lake_assets.streaming.query import StreamQuery

    instance = DagsterInstance.ephemeral()
    managers = {
        place: StreamIOManager(lake=lake, spark=spark, home=str(home) * (place == "copied")) for place in PLACES
    }

    def counting(place: str) -> AssetsDefinition:
        @asset(name=place, io_manager_key=place)
        def counts() -> Any:
            source = FolderSource(lines)
            build = lambda frame, _: queries.word_counts(frame)  # noqa: E731
            return StreamQuery(queries.NAME, ("word",), queries.COUNTS, build, source, state_store=state_store)

        return counts

    def run(place: str) -> dict[str, Any]:
        from lake_assets.lake.contract import MAIN

        result = materialize([counting(place)], resources=managers, instance=instance)
        assert result.success
        lake.lake.merge(f"run-{result.run_id}", MAIN, audit=TESTS)
        (event,) = result.get_asset_materialization_events()
        metadata = event.materialization.metadata
        return {name: metadata[f"stream/{name}"].value for name in ("checkpoint_files_added", "checkpoint_bytes_added")}

    return run


def main() -> None:
    """Materialize both in turns, and print the medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--state-store", choices=("hdfs", "rocksdb"), default="hdfs")
    parser.add_argument("--lines", type=int, default=20_000, help="lines of the first run; later ones add a hundredth")
    asked = parser.parse_args()
    logging.disable(logging.INFO)
    from lake_assets.resources.lake import LakeFS
    from lake_assets.resources.spark import SparkResource

    with ExitStack() as running:
        server = own_server()
        running.callback(shutil.rmtree, server.folder, ignore_errors=True)
        running.callback(server.stop)
        server.start()
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        (lines := folder / "lines").mkdir()
        resource = LakeFS(
            endpoint=server.endpoint,
            access_key_id=CREDENTIALS[0],
            secret_access_key=CREDENTIALS[1],
            repository="bench",
        )
        spark = SparkResource(master="local[2]", conf={"spark.driver.memory": "1g"}, lake=resource)
        running.callback(lambda: spark.session.stop())
        run = runner(resource, spark, lines, folder / "streams", asked.state_store)
        here = psutil.Process()
        theirs = next(child for child in here.children() if "lakefs" in child.name())
        found: dict[str, list[tuple[float, ...]]] = {place: [] for place in PLACES}
        for number in range(asked.runs + 2):
            count = asked.lines if number == 0 else asked.lines // 100
            (lines / f"{number}.txt").write_text("\n".join(lines_of(count, number)) + "\n")
            for place in PLACES if number % 2 else PLACES[::-1]:
                begin, ours, its = time.perf_counter(), cpu(here), cpu(theirs)
                wrote = run(place)
                server_took = cpu(theirs) - its
                took = (time.perf_counter() - begin, cpu(here) - ours - server_took, server_took)
                if number > 1:
                    found[place].append((*took, *wrote.values()))
        print(f"{'':12}{'seconds':>9}{'CPU':>7}{'lakeFS':>8}{'files':>7}{'bytes':>11}")
        for place, rows in found.items():
            wall, ours, its, files, size = (statistics.median(column) for column in zip(*rows, strict=True))
            print(f"{place:12}{wall:9.2f}{ours:7.2f}{its:8.2f}{files:7.0f}{size:11,.0f}")


if __name__ == "__main__":
    main()
