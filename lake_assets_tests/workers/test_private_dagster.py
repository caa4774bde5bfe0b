"""What is used of Dagster's private interfaces is as it was."""

from __future__ import annotations

import inspect

from dagster import DefaultRunLauncher
from dagster._cli import api
from dagster._core.instance.config import dagster_instance_config_schema

from lake_assets._dagster import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from lake_assets.workers.launcher import WarmRunLauncher


def test_the_body_of_the_command_that_executes_a_run_takes_what_it_is_given() -> None:
    parameters = list(inspect.signature(api._execute_run_command_body).parameters)
    assert parameters == ["run_id", "instance", "write_stream_fn", "set_exit_code_on_failure"]


def test_a_launcher_is_handed_the_run_and_answers_with_a_status() -> None:
    assert LaunchRunContext._fields == ("dagster_run", "workspace")
    assert {"RUNNING", "NOT_FOUND"} <= set(WorkerStatus.__members__)
    assert CheckRunHealthResult._fields == ("status", "msg", "transient", "run_worker_id")


def test_the_launcher_has_every_method_of_the_one_that_it_stands_for() -> None:
    for name in ("launch_run", "terminate"):
        ours, theirs = (inspect.signature(getattr(kind, name)) for kind in (WarmRunLauncher, DefaultRunLauncher))
        assert list(ours.parameters) == list(theirs.parameters)


def test_the_projects_dagster_yaml_is_known() -> None:
    assert {"run_launcher", "run_coordinator", "concurrency"} <= set(dagster_instance_config_schema())
