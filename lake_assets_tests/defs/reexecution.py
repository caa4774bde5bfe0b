"""Runs in this process that can be executed again, on the shared Spark session."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from dagster import (
    DagsterRun,
    JobDefinition,
    JobExecutionResult,
    ReexecutionOptions,
    RepositoryDefinition,
    execute_job,
)
from dagster._core.code_pointer import CustomPointer, ModuleCodePointer
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.execution.api import execute_run

from lake_assets import definitions, environments
from lake_assets_tests.graph_fixtures import Graph
from lake_assets_tests.shared_spark import SharedSpark


def job_of(home: str, name: str) -> JobDefinition:
    """Return a job on the environment in force and the shared Spark session."""
    del home
    return definitions.definitions(environments.resources(SharedSpark())).resolve_job_def(name)


def repository_of(home: str) -> RepositoryDefinition:
    """Return the code location on the environment in force and the shared Spark session."""
    del home
    return definitions.definitions(environments.resources(SharedSpark())).get_repository_def()


def reconstructable(graph: Graph, name: str) -> ReconstructableJob:
    """Return a job of the code location in the form that re-execution wants."""
    # Dagster keeps a location by how it is made: without the home, a test would get the one before it's resources.
    pointer = CustomPointer(ModuleCodePointer(__name__, "repository_of", None), [str(graph.home)], [])
    return ReconstructableRepository(pointer).get_reconstructable_job(name)


def start(graph: Graph, name: str, run_id: str | None = None, tags: Mapping[str, str] | None = None) -> DagsterRun:
    """Execute a job; return its run, as it ended."""
    job = job_of(str(graph.home), name)
    run = graph.instance.create_run_for_job(job, run_id=run_id or str(uuid.uuid4()), tags=dict(tags or {}))
    execute_run(reconstructable(graph, name), run, graph.instance)
    ended = graph.instance.get_run_by_id(run.run_id)
    assert ended is not None
    return ended


def again(graph: Graph, run: DagsterRun, *, from_failure: bool) -> JobExecutionResult:
    """Re-execute a run: from its failure, or all steps."""
    options = (
        ReexecutionOptions.from_failure(run.run_id, graph.instance)
        if from_failure
        else ReexecutionOptions(parent_run_id=run.run_id)
    )
    kept = {key: value for key, value in run.tags.items() if key == "dagster/partition"}
    with execute_job(
        reconstructable(graph, run.job_name), graph.instance, reexecution_options=options, tags=kept
    ) as result:
        return result
