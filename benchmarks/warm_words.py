"""The job `words` over one more line, in a warm worker: ``python -m benchmarks.warm_words``.

Each run is launched as Dagster's daemon launches it. The time is from the launch to the end of the run; the CPU seconds
are those of the worker with its JVM, so that a figure of a busy machine can be judged. The median of ten counts.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

RUNS = 10
BOUND = 3.5
DEADLINE = 600.0
CONFIG = """\
telemetry: {enabled: false}
run_launcher: {module: lake_assets.workers.launcher, class: WarmRunLauncher}
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name in ("dagster", "lines"):
            (folder / name).mkdir()
        (folder / "dagster" / "dagster.yaml").write_text(CONFIG)
        os.chdir(folder)
        os.environ |= {
            "DAGSTER_HOME": str(folder / "dagster"),
            "LAKE_HOME": str(folder / "lake"),
            "WORDS_SOURCE": str(folder / "lines"),
            "SPARK_MASTER": "local[2]",
        }
        command = [sys.executable, "-c", "from lake_assets.cli import main; main()", "workers", "--number", "1"]
        with (folder / "said").open("w") as said:
            parent = subprocess.Popen(command, stdout=said, stderr=said)
            try:
                measure(folder)
            finally:
                parent.terminate()
                parent.wait()


def measure(folder: Path) -> None:
    # Settings are read when the definitions are loaded.
    from dagster import DagsterInstance
    from dagster._core.definitions.reconstruct import ReconstructableRepository

    from lake_assets.definitions import defs
    from lake_assets.workers import messages

    job = defs.resolve_job_def("words")
    repository = ReconstructableRepository.for_module("lake_assets.definitions", "defs")
    origin = repository.get_reconstructable_job("words").get_python_origin()
    seconds: list[float] = []
    cpu: list[float] = []
    with DagsterInstance.get() as instance:
        place = messages.folder_of(instance)
        wait(lambda: bool(messages.names(place)))
        for number in range(RUNS):
            (folder / "lines" / f"{number}.txt").write_text("2026-11-22T10:00:00Z a dog\n")
            run_id = instance.create_run_for_job(job, job_code_origin=origin).run_id
            used, began = cpu_seconds(), time.monotonic()
            instance.launch_run(run_id, None)  # pyright: ignore[reportArgumentType]
            wait(lambda run_id=run_id: ended(instance, run_id))
            seconds.append(time.monotonic() - began)
            (name,) = messages.names(place)
            question = {"ask": messages.AT, "run": run_id}
            wait(lambda name=name, question=question: not messages.ask(place, name, question, 60)["at"])
            cpu.append(cpu_seconds() - used)
            print(f"  {seconds[-1]:.1f} s, {cpu[-1]:.1f} CPU s, load {os.getloadavg()[0]:.1f}", flush=True)
    verdict = "within" if statistics.median(seconds) <= BOUND else "NOT within"
    print(
        f"a warm run of words: {statistics.median(seconds):.1f} s, {statistics.median(cpu):.1f} CPU s (medians of "
        f"{RUNS}), {verdict} {BOUND} s; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )


def ended(instance: object, run_id: str) -> bool:
    from dagster import DagsterInstance, DagsterRunStatus

    assert isinstance(instance, DagsterInstance)
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert run.status not in (DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED), "see what it says"
    return run.is_finished


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def cpu_seconds() -> float:
    """Return the CPU time of all that this process has started and that lives, with what they have waited for."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


if __name__ == "__main__":
    main()
