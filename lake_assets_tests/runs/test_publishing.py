"""What is published without its publishing asset, and what is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from dagster import (
    AssetKey,
    DagsterEvent,
    DagsterEventType,
    DagsterRun,
    ReexecutionOptions,
    build_sensor_context,
    execute_job,
)

from lake_assets import environments
from lake_assets.lake.contract import MAIN
from lake_assets.runs.audit import PublicationRefused
from lake_assets.runs.publishing import publish
from lake_assets_tests.defs.reexecution import job_of, reconstructable, start
from lake_assets_tests.defs.stocks.test_stocks_job import copied, file_of, key
from lake_assets_tests.graph_fixtures import Graph


def ended(graph: Graph) -> DagsterRun:
    """Return a run of nothing that ended well."""
    run = graph.instance.create_run_for_job(job_of(str(graph.home), "stocks"))
    success = DagsterEvent(DagsterEventType.RUN_SUCCESS.value, "stocks")
    graph.instance.report_dagster_event(success, run.run_id)
    return run


def tick(graph: Graph, cursor: str | None) -> str | None:
    """Evaluate the sensor `publish_runs`; return its cursor."""
    repository = graph.defs.get_repository_def()
    with build_sensor_context(
        instance=graph.instance,
        cursor=cursor,
        repository_def=repository,
        resources={"lake": environments.lake_resource()},
    ) as context:
        return repository.get_sensor_def("publish_runs").evaluate_tick(context).cursor


def write(graph: Graph, branch: str) -> None:
    graph.lake.create_branch(branch, MAIN)
    # Of an asset that has no blocking checks.
    with graph.lake.write(branch, "stocks_csv", partitions=["day=2017-07-28/hour=08"]) as write:
        folder = Path(write.root, "day=2017-07-28/hour=08")
        folder.mkdir(parents=True)
        (folder / "note.txt").write_text("a note")


def test_runs_that_published_themselves_do_not_keep_the_next_one_waiting(make_graph: Callable[..., Graph]) -> None:
    graph = make_graph()
    cursor = tick(graph, None)
    for _ in range(3):
        ended(graph)
    run = ended(graph)
    write(graph, f"run-{run.run_id}")
    tick(graph, cursor)
    assert graph.lake.branches() == (MAIN,)
    assert graph.lake.head(MAIN).metadata["run_id"] == run.run_id


def test_the_publishing_step_alone_does_not_publish_what_failed_its_checks(
    make_graph: Callable[..., Graph], xetra: Path, tmp_path: Path
) -> None:
    source = copied(xetra, tmp_path / "source")
    with file_of(source, "19").open("a") as file:
        file.write("no bar\n" * 10)
    graph = make_graph(source)
    failed = start(graph, "stocks", tags={"dagster/partition": key("19")})
    options = ReexecutionOptions(parent_run_id=failed.run_id, step_selection=["stocks_published"])
    with execute_job(
        reconstructable(graph, "stocks"),
        graph.instance,
        reexecution_options=options,
        tags={"dagster/partition": key("19")},
    ) as result:
        assert not result.success
        (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "stocks_parquet:quarantine_bounded" in failure.step_failure_data.error_display_string
    assert graph.published() == {}


def test_what_a_check_of_another_asset_reads_is_kept_back_with_it(
    make_graph: Callable[..., Graph], xetra: Path, tmp_path: Path
) -> None:
    """The bars are those of `main`, so only the file and its quarantined lines would change."""
    source = copied(xetra, tmp_path / "source")
    graph = make_graph(source)
    assert graph.run(key("19")).success
    head = graph.lake.head(MAIN)
    with file_of(source, "19").open("a") as file:
        file.write("no bar\n" * 10)
    failed = graph.run(key("19"))
    assert not failed.success
    with pytest.raises(PublicationRefused, match=r"stocks_csv/day=2017-07-28/hour=19.*quarantine_bounded"):
        publish(graph.lake, graph.instance, failed.dagster_run, graph.defs.resolve_asset_graph())
    assert graph.lake.head(MAIN) == head


def test_the_publishing_asset_alone_does_not_claim_an_hour_that_nobody_fetched(
    make_graph: Callable[..., Graph],
) -> None:
    graph = make_graph()
    result = graph.run(key("08"), asset_selection=[AssetKey("stocks_published")])
    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "stocks_parquet/day=2017-07-28/hour=08" in failure.step_failure_data.error_display_string
    assert not result.get_asset_materialization_events()
