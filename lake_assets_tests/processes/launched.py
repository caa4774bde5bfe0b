"""Launches a run as Dagster's daemon does, and prints its id: ``python -m …launched JOB TAGS``, tags as JSON."""

from __future__ import annotations

import json
import sys

from dagster import DagsterInstance
from dagster._core.definitions.reconstruct import ReconstructableRepository

from lake_assets.definitions import defs


def main(name: str, tags: str) -> None:
    job = defs.resolve_job_def(name)
    location = ReconstructableRepository.for_module("lake_assets.definitions", "defs")
    with DagsterInstance.get() as instance:
        origin = location.get_reconstructable_job(name).get_python_origin()
        run = instance.create_run_for_job(job, tags=json.loads(tags), job_code_origin=origin)
        print(run.run_id, flush=True)
        instance.launch_run(run.run_id, None)  # pyright: ignore[reportArgumentType]


if __name__ == "__main__":
    main(*sys.argv[1:])
