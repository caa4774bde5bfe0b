"""The process of a warm worker, which kills itself (-9) at the point that a run's tag names.

``python -m lake_assets_tests.processes.warm_worker MODULE NAME``
"""

from __future__ import annotations

import json
import sys

from dagster import DagsterInstance

from lake_assets.cli import worker_process
from lake_assets.workers import worker
from lake_assets_tests.processes.killed_at import arm

TAG = "test/killed_at"

_execute_run = worker.execute_run


def _deadly(instance: DagsterInstance, run_id: str) -> None:
    run = instance.get_run_by_id(run_id)
    if run is not None and TAG in run.tags:
        place, call, when, whom = json.loads(run.tags[TAG])
        arm(place, int(call), when, whom)
    _execute_run(instance, run_id)


if __name__ == "__main__":
    worker.execute_run = _deadly
    worker_process.main(*sys.argv[1:])
