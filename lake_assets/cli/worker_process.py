"""The process of a warm worker: ``python -m lake_assets.cli.worker_process MODULE NAME``."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from pathlib import Path

from lake_assets.cli.code_location import choose, is_own, load_definitions, spark_resource
from lake_assets.cli.priority import lowered
from lake_assets.settings import WorkerSettings

_LOG = logging.getLogger("lake_assets.workers")


def main(module: str, name: str) -> None:
    """Load a code location, warm up, and execute runs.

    Parameters
    ----------
    module
        Module of the code location.
    name
        Name of the worker.
    """
    began = time.time_ns()
    from lake_assets.workers.lifeline import Lifeline, scratch
    from lake_assets.workers.surroundings import Sources, environment

    surroundings = environment()
    # The parent's end of the pipe; what runs start must not read from it.
    until = os.dup(0)
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    # It ends by the pipe, so that a run is finished before.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The workers inherit a mask from their parent, which blocks them.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})

    lifeline = Lifeline(until, _leave)

    from dagster import DagsterInstance

    from lake_assets.resources.spark import SparkResource
    from lake_assets.workers.messages import folder_of
    from lake_assets.workers.worker import Bounds, Worker

    choose(module)
    settings = WorkerSettings.read()
    resources = load_definitions().resources or {}
    spark_keys = frozenset(key for key, resource in resources.items() if isinstance(resource, SparkResource))
    with DagsterInstance.get() as instance:
        if spark_keys:
            with lowered(), scratch(folder_of(instance), name) as folder:
                _warm_up(folder)
        Worker(
            instance,
            name,
            module=module,
            spark_keys=spark_keys,
            sources=Sources(began),
            environment=surroundings,
            bounds=Bounds(settings.runs, settings.memory << 20),
        ).serve(lifeline)


def _leave() -> None:
    """End while nothing but a warm-up goes on. The JVM ends when its input does, and the parent removes the folder."""
    os._exit(0)


def _warm_up(folder: Path) -> None:
    """Start Spark's JVM, and have it do once what runs do. Without Java, there is none, and the worker has no JVM.

    Parameters
    ----------
    folder
        An empty folder for its data.
    """
    from lake_assets.spark import warm
    from lake_assets.spark.session import is_local
    from lake_assets.spark.training import exercise

    warm.keep()
    try:
        spark = spark_resource()
        session = spark.session
        local = is_local(str(session.sparkContext.master))
        if local and not is_own():
            exercise(session, folder)
        session.stop()
        if local and is_own():
            from lake_assets.cli.warming_up import count_words

            with warm.any_session_fits():
                count_words(folder)
        warm.clean_jvm()
    except Exception as error:  # noqa: BLE001 -- a worker that is not quite warm is still of use
        _LOG.warning("the warm-up failed: %s", error)


if __name__ == "__main__":
    main(*sys.argv[1:])
