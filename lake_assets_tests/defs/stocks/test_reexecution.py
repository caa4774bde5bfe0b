"""Re-execution of the stocks job, from failure and of all steps."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from dagster import DagsterRun

from lake_assets import environments
from lake_assets.lake.contract import MAIN
from lake_assets_tests.defs import reexecution
from lake_assets_tests.defs.reexecution import again
from lake_assets_tests.defs.stocks.test_stocks_job import copied, file_of, key
from lake_assets_tests.graph_fixtures import Graph


def start(graph: Graph, hour: str, run_id: str | None = None) -> DagsterRun:
    """Execute the job for an hour, as a run that can be re-executed."""
    return reexecution.start(graph, "stocks", run_id, {"dagster/partition": key(hour)})


def steps(graph: Graph, run_id: str) -> list[str]:
    return [stats.step_key for stats in graph.instance.get_run_step_stats(run_id)]


@pytest.fixture
def source(xetra: Path, tmp_path: Path) -> Path:
    return copied(xetra, tmp_path / "source")


def test_from_a_failed_check_the_parents_data_is_audited_again_and_published(
    make_graph: Callable[..., Graph], source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with file_of(source, "19").open("a") as file:
        file.write("no bar\n" * 10)
    graph = make_graph(source)
    failed = start(graph, "19")
    assert graph.published() == {}

    still = again(graph, failed, from_failure=True)
    assert not still.success
    assert "parse_stocks" not in steps(graph, still.run_id)
    assert graph.published() == {}

    monkeypatch.setenv("STOCKS_MAX_QUARANTINED", "0.5")
    retried = graph.instance.get_run_by_id(still.run_id)
    assert retried is not None
    mended = again(graph, retried, from_failure=True)
    assert mended.success
    assert "parse_stocks" not in steps(graph, mended.run_id)
    assert len(graph.table()) == 52
    assert graph.lake.head(MAIN).metadata["run_id"] == mended.run_id


def test_all_steps_after_a_failed_check_start_from_main(make_graph: Callable[..., Graph], source: Path) -> None:
    good = file_of(source, "19").read_text()
    file_of(source, "19").write_text(good + "no bar\n" * 10)
    graph = make_graph(source)
    failed = start(graph, "19")
    file_of(source, "19").write_text(good)
    result = again(graph, failed, from_failure=False)
    assert result.success
    assert len(graph.table()) == 52
    # The failed run's branch stays for inspection; ours is merged and gone.
    assert graph.lake.branches() == (MAIN, f"run-{failed.run_id}")


def test_a_failed_publish_conflicts_again_from_failure_and_succeeds_with_all_steps(
    make_graph: Callable[..., Graph], source: Path
) -> None:
    graph = make_graph(source)
    run_id = str(uuid.uuid4())
    graph.lake.create_branch(f"run-{run_id}", MAIN)
    first = graph.run(key("19"))
    assert first.success
    head = graph.lake.head(MAIN)
    lines = file_of(source, "19").read_text().splitlines(keepends=True)
    file_of(source, "19").write_text("".join(lines[:-1]))

    late = start(graph, "19", run_id)
    assert graph.lake.head(MAIN) == head
    failure = next(
        event.dagster_event
        for event in graph.instance.all_logs(run_id)
        if event.dagster_event is not None and event.dagster_event.is_step_failure
    )
    assert failure.step_key == "stocks_published"
    text = failure.step_failure_data.error_display_string
    assert first.run_id in text
    assert "stocks_parquet/day=2017-07-28/hour=19" in text
    assert "Re-execute all steps" in text

    assert not again(graph, late, from_failure=True).success
    assert graph.lake.head(MAIN) == head
    assert again(graph, late, from_failure=False).success
    assert len(graph.table()) == 51


def test_from_a_failed_sink_only_the_sink_runs(make_graph: Callable[..., Graph], source: Path) -> None:
    graph = make_graph(source)
    graph.store.close()
    store = graph.home / "nosql"
    for path in store.iterdir():
        path.unlink()
    store.rmdir()
    store.write_text("in the way")
    failed = start(graph, "19")
    assert graph.lake.head(MAIN).metadata["run_id"] == failed.run_id

    store.unlink()
    result = again(graph, failed, from_failure=True)
    assert result.success
    assert steps(graph, result.run_id) == ["stocks_table"]
    assert environments.open_nosql().row_count("stocks_table") == 52


def test_from_failure_without_the_parents_branch_says_that_its_output_is_lost(
    make_graph: Callable[..., Graph], source: Path
) -> None:
    with file_of(source, "19").open("a") as file:
        file.write("no bar\n" * 10)
    graph = make_graph(source)
    failed = start(graph, "19")
    graph.lake.delete_branch(f"run-{failed.run_id}")
    result = again(graph, failed, from_failure=True)
    assert not result.success
    text = next(event for event in result.all_events if event.is_step_failure).step_failure_data.error_display_string
    assert "Re-execute all steps instead" in text
