"""The time of short runs, cold and by warm workers: ``python -m benchmarks.warm_words``, on a quiet machine.

Each figure is the median of ten, with the slowest. ``--only cold,warm,folder,stocks,kafka`` picks some.

- cold: `dagster job execute` of `words` over one more line, from the command to its end;
- warm: the same run by a warm worker, from the launch to its end, as Dagster's records tell;
- folder, kafka: from a line put there to its count on `main`, with `new_text_files` or `consumer_lag`, the real daemon
  and a warm worker;
- stocks: from a file put into a folder to its rows in `stocks_table`, with `new_stock_files`.

CPU seconds are those of all processes that were started, so that a figure of a busy machine can be judged.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
from dagster import DagsterInstance

from lake_assets.lake.contract import MAIN
from lake_assets.workers.assigned import worker_of
from lake_assets_tests.kafka_broker import KafkaBroker, own_broker, remove
from lake_assets_tests.ui.files import add_day
from lake_assets_tests.ui.server import DagsterServer, running, until
from lake_assets_tests.ui.words import counts

RUNS = 10
BOUNDS = {"cold": 10.0, "warm": 3.5, "folder": 7.0, "kafka": 7.0, "stocks": 12.0}
SLOWEST = {"folder": 12.0, "kafka": 12.0}
"""Seconds within which 95 % must be."""
DEADLINE = 240.0


class Figures:
    """The seconds, and CPU seconds, of each kind of latency."""

    def __init__(self) -> None:
        self._seconds: dict[str, list[float]] = {}
        self._cpu: dict[str, list[float]] = {}

    @contextmanager
    def took(self, kind: str) -> Iterator[None]:
        """Measure what is done within this."""
        used, began = cpu_seconds(), time.monotonic()
        yield
        self.add(kind, time.monotonic() - began, cpu_seconds() - used)

    def add(self, kind: str, seconds: float, cpu: float | None = None) -> None:
        self._seconds.setdefault(kind, []).append(seconds)
        used = ""
        if cpu is not None:
            self._cpu.setdefault(kind, []).append(cpu)
            used = f", {cpu:.1f} CPU s"
        print(f"  {kind}: {seconds:.1f} s{used}, load {os.getloadavg()[0]:.1f}", flush=True)

    def tell(self) -> None:
        for kind, seconds in self._seconds.items():
            middle, slow = statistics.median(seconds), sorted(seconds)[max(round(0.95 * len(seconds)) - 1, 0)]
            good = middle <= BOUNDS[kind] and slow <= SLOWEST.get(kind, slow)
            bound = f"{BOUNDS[kind]:g} s" + (f", 95 % {SLOWEST[kind]:g} s" if kind in SLOWEST else "")
            cpu = f", {statistics.median(self._cpu[kind]):.1f} CPU s" if kind in self._cpu else ""
            print(
                f"{kind}: median {middle:.1f} s, 95 % {slow:.1f} s, most {max(seconds):.1f} s{cpu} "
                f"({len(seconds)} runs): {'within' if good else 'NOT within'} {bound}"
            )
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def cold(folder: Path, runs: int, figures: Figures) -> None:
    """Run the job in a process of its own, over one more line each time. The first run is not told."""
    (folder / "lines").mkdir(parents=True)
    (folder / "dagster").mkdir()
    (folder / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    given = {
        "DAGSTER_HOME": str(folder / "dagster"),
        "LAKE_HOME": str(folder / "lake"),
        "WORDS_SOURCE": str(folder / "lines"),
    }
    command = [sys.executable, "-m", "dagster", "job", "execute", "-m", "lake_assets.definitions", "-j", "words"]
    for number in range(runs + 1):
        (folder / "lines" / f"{number}.txt").write_text(f"2026-11-22T10:00:00Z cold{number}\n")
        unmeasured = Figures()
        with (figures if number else unmeasured).took("cold"):
            subprocess.run(command, cwd=folder, env={**os.environ, **given}, capture_output=True, check=True)


class Daemon:
    """The real daemon, with a warm worker."""

    def __init__(self, server: DagsterServer, runs: int, figures: Figures) -> None:
        self._server = server
        self._runs = runs
        self._figures = figures
        # Not in step with the daemon's loop.
        self._draw = random.Random(14)

    def follow(self, kind: str, sensor: str, send: Callable[[int], str]) -> None:
        """Send one word after another, each when the one before is published."""
        head, found = "", dict[str, int]()

        def published(word: str) -> bool:
            nonlocal head, found
            if (now := lake.head(MAIN).id) != head:
                head, found = now, counts(lake)
            return word in found

        with self._server.turned_on(sensor), self._server.lake() as lake:
            for number in range(-1, self._runs):
                time.sleep(self._draw.uniform(0, 5))
                with (self._figures if number >= 0 else Figures()).took(kind):
                    word = send(number + 1)
                    until(word, lambda word=word: published(word), DEADLINE, 0.05)
                self._until_idle()

    def tell_runs(self) -> None:
        """Tell how long the worker took for the runs of `words`."""
        with DagsterInstance.from_config(str(self._server.home)) as instance:
            runs = [run for run in instance.get_runs() if run.job_name == "words"]
            for run in runs[: self._runs]:
                stats = instance.get_run_stats(run.run_id)
                if worker_of(run) is None:
                    print(f"  run {run.run_id} had a process of its own")
                elif stats.end_time is not None and stats.launch_time is not None:
                    self._figures.add("warm", stats.end_time - stats.launch_time)

    def stocks(self) -> None:
        """Put one file after another into the folder."""
        with self._server.turned_on("new_stock_files"):
            for number in range(-1, self._runs):
                time.sleep(self._draw.uniform(0, 5))
                day = f"2017-07-{number + 4:02}"
                with (self._figures if number >= 0 else Figures()).took("stocks"):
                    add_day(self._server.source, day, ["08"])
                    until(day, lambda day=day: self._in_table(day), DEADLINE, 0.1)
                self._until_idle()

    def _in_table(self, day: str) -> bool:
        with suppress(Exception):
            return any(str(row["Date"]) == day for row in self._server.table().values())
        return False

    def _until_idle(self) -> None:
        """Wait until no run goes on."""
        with DagsterInstance.from_config(str(self._server.home)) as instance:
            until("all runs end", lambda: all(run.is_finished for run in instance.get_runs(limit=5)), DEADLINE, 0.1)


def through_a_folder(folder: Path, kinds: set[str], runs: int, figures: Figures) -> None:
    source = folder / "source"
    source.mkdir(parents=True)
    with running(folder, source, 1) as server:
        daemon = Daemon(server, runs, figures)

        def send(number: int) -> str:
            aside = server.lines / f".{number}"
            aside.write_text(f"2026-11-22T10:00:00Z folder{number}\n")
            aside.rename(server.lines / f"{number}.txt")
            return f"folder{number}"

        if kinds & {"warm", "folder"}:
            daemon.follow("folder", "new_text_files", send)
            daemon.tell_runs()
        if "stocks" in kinds:
            daemon.stocks()


def through_kafka(folder: Path, runs: int, figures: Figures) -> None:
    broker: KafkaBroker = own_broker()
    with ExitStack() as ending:
        ending.callback(remove, broker)
        broker.start()
        topic, output = broker.fresh_topic(), broker.fresh_topic()
        settings = {
            f"WORDS_{name}": f"kafka://{broker.servers}/{at}" for name, at in (("SOURCE", topic), ("SINK", output))
        }
        producer = broker.cluster().producer()

        def send(number: int) -> str:
            producer.produce(topic, f"kafka{number}")
            assert producer.flush(30) == 0
            return f"kafka{number}"

        (folder / "source").mkdir(parents=True)
        server = ending.enter_context(running(folder, folder / "source", 1, **settings))
        Daemon(server, runs, figures).follow("kafka", "consumer_lag", send)


def cpu_seconds() -> float:
    """Return the CPU time of all that this process has started and that lives, with what they have waited for."""
    own = psutil.Process().cpu_times()
    total = own.children_user + own.children_system
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument(
        "--only", default=",".join(BOUNDS), help="cold, warm, folder, stocks, kafka, with commas between"
    )
    options = parser.parse_args()
    kinds = set(options.only.split(","))
    figures = Figures()
    with tempfile.TemporaryDirectory(prefix="lake-assets-benchmark-") as scratch:
        folder = Path(scratch)
        if "cold" in kinds:
            cold(folder / "cold", options.runs, figures)
        if kinds & {"warm", "folder", "stocks"}:
            through_a_folder(folder / "folder", kinds, options.runs, figures)
        if "kafka" in kinds:
            through_kafka(folder / "kafka", options.runs, figures)
    figures.tell()


if __name__ == "__main__":
    main()
