"""Writes parts on a cluster whose tasks meet with faults, in one commit: started by the tests.

What it is asked for comes as JSON on stdin, and what the commit holds goes as JSON to stdout. Spark's own pages go to
stderr.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from dagster import asset, materialize

from lake_assets.compute.frame import TaskFrame
from lake_assets.compute.spark import SparkExecutor
from lake_assets.io_managers.parquet import ParquetIOManager
from lake_assets.resources.lake import LakeFS
from lake_assets.resources.spark import SparkResource

SCHEMA = pa.schema([("n", pa.int64())])
TASKS, ROWS = 4, 10


@dataclass(frozen=True)
class Faulty:
    """Makes rows. The first attempt of the first task meets with a fault."""

    number: int
    fault: str
    marks: str
    size: int = 1

    def batches(self, counts: Counter[str]) -> Iterator[pa.RecordBatch]:
        del counts
        rows = [self.number * ROWS + row for row in range(ROWS)]
        mark = Path(self.marks) / self.fault
        first = self.number == 0 and not mark.exists()
        if first:
            mark.touch()
        if first and self.fault == "killed before it writes":
            self._kill()
        yield pa.record_batch([pa.array(rows[:5])], schema=SCHEMA)
        if first and self.fault == "killed while it writes":
            self._kill()
        if first and self.fault == "worker lost while it writes":
            self._kill(with_worker=True)
        if first and self.fault == "slow":
            # Another attempt comes, and ends; then this one writes all the same.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(15)
        yield pa.record_batch([pa.array(rows[5:])], schema=SCHEMA)

    @staticmethod
    def _kill(*, with_worker: bool = False) -> None:
        """Kill the executor, or all of its worker: Python's parent is Spark's daemon, whose parent the executor is."""
        executor = int(Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()[1])
        if with_worker:
            os.killpg(os.getpgid(executor), signal.SIGKILL)
        else:
            os.kill(executor, signal.SIGKILL)
        time.sleep(60)


def main(asked: dict[str, Any]) -> None:
    """Materialize an asset of such tasks."""
    lake = LakeFS(**asked["lake"])
    spark = SparkResource(master=asked["master"], conf_lines=asked["conf"], lake=lake)

    @asset(io_manager_key="io_manager")
    def numbers() -> Any:
        tasks = [Faulty(number, asked["fault"], asked["marks"]) for number in range(TASKS)]
        return TaskFrame(SCHEMA, {"": tasks}, lambda _: SparkExecutor(spark.session))

    manager = ParquetIOManager(lake=lake, spark=spark)
    result = materialize([numbers], resources={"io_manager": manager}, raise_on_error=False)
    if asked["pages"]:
        show_pages(spark)
    print(json.dumps({"success": result.success, "branch": f"run-{result.run_id}"}))


def show_pages(spark: SparkResource) -> None:
    """Print all that Spark tells of its settings and jobs."""
    context = spark.session.sparkContext
    page = str(context.uiWebUrl)
    api = f"{page}/api/v1/applications/{context.applicationId}"
    places = [f"{page}/{name}/" for name in ("environment", "SQL", "jobs", "stages", "executors")]
    for place in [*places, *(f"{api}/{name}" for name in ("environment", "jobs", "allexecutors"))]:
        with urllib.request.urlopen(place, timeout=60) as answer:
            print(answer.read().decode(), file=sys.stderr)


if __name__ == "__main__":
    main(json.loads(sys.stdin.read()))
