"""Runs jobs on lakeFS in one process with one Spark session, and says in JSON what each cost: started by the tests.

Spark starts for ``words`` alone; what its own page says of its environment goes to stderr.

Arguments: pairs of job and partition key, such as ``stocks=2017-07-28-08:00 users=userdata1``.
"""

from __future__ import annotations

import json
import logging
import sys
import urllib.request
from typing import Any

from dagster import DagsterInstance, EnvVar

from lake_assets import definitions, environments
from lake_assets.defs.users.partitions import BATCHES_NAME
from lake_assets.lake.contract import Lake
from lake_assets.resources.lake import LakeFS
from lake_assets.resources.spark import SparkResource
from lake_assets_tests.shared_spark import SharedSpark

OPENED: list[Any] = []


class CountedLakeFS(LakeFS):
    """Remembers the lakes that it opened."""

    def open(self, *, any_format: bool = False, create: bool = True) -> Lake:
        lake = super().open(any_format=any_format, create=create)
        OPENED.append(lake)
        return lake


def main(runs: list[str]) -> None:
    """Run the jobs, one after another."""
    logging.disable(logging.INFO)
    lake = environments.lake_resource()
    environments.lake_resource = _counted(lake)
    page = _page(_outside_dagster(lake)) if any(run.startswith("words") for run in runs) else ""
    defs = definitions.definitions(environments.resources(SharedSpark()))
    with DagsterInstance.get() as instance:
        for run in runs:
            job, _, key = run.partition("=")
            if job == "users":
                instance.add_dynamic_partitions(BATCHES_NAME, [key])
            OPENED.clear()
            result = defs.resolve_job_def(job).execute_in_process(
                partition_key=key or None, instance=instance, raise_on_error=False
            )
            calls: dict[str, int] = {}
            for lake in OPENED:
                for call, count in lake.api.calls.items():
                    calls[call] = calls.get(call, 0) + count
            ended = {"run": run, "run_id": result.run_id, "success": result.success, "calls": calls}
            print(json.dumps(ended), flush=True)
    if page:
        with urllib.request.urlopen(page, timeout=60) as answer:
            print(answer.read().decode(), file=sys.stderr)


def _page(lake: LakeFS) -> str:
    """Start Spark and return the address of its page of its environment."""
    return f"{_with_page(environments.spark_resource(lake)).session.sparkContext.uiWebUrl}/environment/"


def _counted(resource: Any) -> Any:
    return lambda: CountedLakeFS(**{name: getattr(resource, name) for name in type(resource).model_fields})


def _outside_dagster(resource: Any) -> LakeFS:
    """Return the resource with its credentials, which Dagster would read from the environment."""
    fields: dict[str, Any] = {name: getattr(resource, name) for name in type(resource).model_fields}
    plain: dict[str, Any] = {
        name: value.get_value() if isinstance(value, EnvVar) else value for name, value in fields.items()
    }
    return LakeFS(**plain)


def _with_page(resource: SparkResource) -> SparkResource:
    settings = {name: getattr(resource, name) for name in type(resource).model_fields}
    settings["conf"] = {**resource.conf, "spark.ui.enabled": "true", "spark.ui.port": "0"}
    return SparkResource(**settings)


if __name__ == "__main__":
    main(sys.argv[1:])
