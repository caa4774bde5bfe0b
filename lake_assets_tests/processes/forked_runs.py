"""Runs of a small pandas graph, each in a forked process of its own, whose imports and caches are paid for once.

``python -m lake_assets_tests.processes.forked_runs FOLDER`` reads a run's id and the price that it publishes, one run
a line. FOLDER holds the lake's ``home`` and ``dagster``'s, and the same in ``rehearsal``, for a run before all others.
Each line starts a process that stops at once, so that `strace` can attach to it, and then runs the graph: the answers
are the process's id and how it ended.

Nothing is left to chance: every process that begins at the same state makes the same calls in one thread, so that the
n-th of a kind is the same one.
"""

# No postponed annotations here: Dagster reads them when the decorators run.

import ctypes
import hashlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast
from unittest.mock import patch
from uuid import UUID

import pandas
from dagster import (
    AssetCheckResult,
    AssetExecutionContext,
    DagsterInstance,
    Definitions,
    JobDefinition,
    StaticPartitionsDefinition,
    asset,
    asset_check,
)

from lake_assets import environments
from lake_assets.io_managers.nosql import KEY, TableUpdate
from lake_assets.io_managers.raw_file import RawFile
from lake_assets.lake.contract import MAIN
from lake_assets.lake.embedded import commits, durability, objects
from lake_assets.resources.lake import LakeResource
from lake_assets.resources.nosql import NoSQLResource
from lake_assets.runs.publishing import published_asset

T = TypeVar("T")
R = TypeVar("R")

DAY = "mon"
DAYS = StaticPartitionsDefinition([DAY])
PLACES = {name: f"{name}/partition={DAY}" for name in ("raw", "prices", "doubled")}
TABLE = "prices_table"

_PR_SET_PTRACER, _PR_SET_PTRACER_ANY = 0x59616D61, ctypes.c_ulong(-1)


def definitions(source: Path) -> Definitions:
    """Return the graph: a raw file, two Parquet assets with a blocking check, their publication, and a table."""

    @asset(partitions_def=DAYS, io_manager_key="lake_file_io_manager")
    def raw(context: AssetExecutionContext) -> dict[str, RawFile]:
        data = (source / "price").read_bytes()
        copy = source / "copy"
        copy.write_bytes(data)
        return {context.partition_key: RawFile("price.csv", copy, 1, hashlib.sha256(data).hexdigest())}

    @asset(partitions_def=DAYS, io_manager_key="parquet_io_manager")
    def prices(raw: pandas.DataFrame) -> pandas.DataFrame:
        return raw.assign(price=raw["price"].astype(float))

    @asset(partitions_def=DAYS, io_manager_key="parquet_io_manager")
    def doubled(prices: pandas.DataFrame) -> pandas.DataFrame:
        return prices.assign(price=prices["price"] * 2)

    @asset_check(asset=prices, blocking=True)
    def positive(prices: pandas.DataFrame) -> AssetCheckResult:
        return AssetCheckResult(passed=bool((prices["price"] > 0).all()))

    published = published_asset("prices", [raw.key, prices.key, doubled.key], owners=[], partitions_def=DAYS)

    @asset(name=TABLE, partitions_def=DAYS, deps=[published], io_manager_key="nosql_io_manager", metadata={KEY: "isin"})
    def table(lake: LakeResource, nosql: NoSQLResource) -> TableUpdate:
        since, until = nosql.store.source_commit(TABLE), lake.lake.head(MAIN).id
        place = lake.lake.path(until, PLACES["doubled"])
        rows = pandas.read_parquet(place.root, filesystem=place.filesystem)[["isin", "price"]]
        return TableUpdate(since, until, until, cast(Any, rows), rebuild=True)

    return Definitions(
        assets=[raw, prices, doubled, published, table],
        asset_checks=[positive],
        resources=environments.resources(),
    )


def run(job: JobDefinition, run_id: str) -> bool:
    """Materialize all of the graph, and tell whether that went well."""
    with DagsterInstance.get() as instance:
        quiet = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
        return job.execute_in_process(
            instance=instance, partition_key=DAY, run_config=quiet, raise_on_error=False, run_id=run_id
        ).success


def _one_after_another(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    return [work(item) for item in items]


def _start(job: JobDefinition, run_id: str) -> int:
    """Fork a process that stops, and runs the graph once it goes on; return its id."""
    process = os.fork()
    if process:
        os.waitpid(process, os.WUNTRACED)
        return process
    code = 2
    try:
        # Where only ancestors may trace.
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _PR_SET_PTRACER_ANY, 0, 0, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        code = 0 if run(job, run_id) else 1
    except BaseException:  # noqa: BLE001 - nothing of it may run as the parent does
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _job(folder: Path) -> JobDefinition:
    """Return the job on the homes in a folder, which are those of this process from now on."""
    os.environ.update(LAKE_HOME=str(folder / "home"), DAGSTER_HOME=str(folder / "dagster"))
    return definitions(folder).resolve_implicit_global_asset_job_def()


def _write_price(folder: Path, price: str) -> None:
    (folder / "price").write_text(f"isin,price,partition\nDE1,{price},{DAY}\n")


def main(folder: Path) -> None:
    rehearsal = folder / "rehearsal"
    _write_price(rehearsal, "1")
    assert run(_job(rehearsal), str(UUID(int=0)))
    job = _job(folder)
    with ExitStack() as alike:
        alike.enter_context(patch.object(durability, "in_parallel", _one_after_another))
        alike.enter_context(patch.object(objects, "in_parallel", _one_after_another))
        # Of the time, ids of commits are made, and of those the folders that Git makes.
        alike.enter_context(patch.object(commits, "time", SimpleNamespace(time=lambda: 1.5e9)))
        for line in sys.stdin:
            run_id, price = line.split()
            _write_price(folder, price)
            process = _start(job, run_id)
            print(process, flush=True)
            _, status = os.waitpid(process, 0)
            print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
