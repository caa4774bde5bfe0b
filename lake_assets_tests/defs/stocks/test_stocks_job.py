"""The stocks job on real files: from the exchange's CSV to `main` and the table."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.dataset
import pytest

from lake_assets.lake.contract import MAIN
from lake_assets.runs.publishing import publish
from lake_assets_tests.graph_fixtures import Graph

DAY = "2017-07-28"
# Rows, distinct ISIN, sum(NumberOfTrades), sum(TradedVolume), counted with Python's csv module.
COUNTS = {
    "06": (0, 0, None, None),
    "08": (7531, 727, 42301, 14305188),
    "09": (7267, 768, 44755, 15373672),
    "19": (52, 52, None, 0),
}


def key(hour: str) -> str:
    return f"{DAY}-{hour}:00"


def bars(graph: Graph, hour: str) -> pyarrow.Table:
    snapshot = graph.lake.path(MAIN, f"stocks_parquet/day={DAY}/hour={hour}")
    return pyarrow.dataset.dataset(snapshot.root, format="parquet").to_table()


def copied(xetra: Path, to: Path) -> Path:
    shutil.copytree(xetra, to)
    for path in to.rglob("*"):
        path.chmod(0o755)
    return to


def file_of(source: Path, hour: str) -> Path:
    return source / DAY / f"{DAY}_BINS_XETR{hour}.csv"


def test_real_files_are_published_with_the_counts_they_are_known_to_have(
    make_graph: Callable[..., Graph], xetra: Path
) -> None:
    graph = make_graph(xetra)
    for hour in COUNTS:
        assert graph.run(key(hour)).success
    for hour, (rows, securities, trades, volume) in COUNTS.items():
        table = bars(graph, hour)
        assert table.num_rows == rows
        assert len(table["ISIN"].unique()) == securities
        if trades is not None:
            assert sum(table["NumberOfTrades"].to_pylist()) == trades
        if volume is not None:
            assert sum(table["TradedVolume"].to_pylist()) == volume
        raw = graph.lake.path(MAIN, f"stocks_csv/day={DAY}/hour={hour}")
        assert (Path(raw.root) / file_of(xetra, hour).name).read_bytes() == file_of(xetra, hour).read_bytes()
    expected: dict[str, tuple[object, ...]] = {}
    for hour in COUNTS:
        for row in bars(graph, hour).to_pylist():
            if row["ISIN"] not in expected or (row["Date"], row["Time"]) > expected[row["ISIN"]]:
                expected[row["ISIN"]] = (row["Date"], row["Time"])
    assert {isin: (row["Date"], row["Time"]) for isin, row in graph.table().items()} == expected
    assert graph.lake.branches() == (MAIN,)
    # The table reflects the last published commit.
    assert graph.store.source_commit("stocks_table") == graph.lake.head(MAIN).id

    before, head, items = graph.published(), graph.lake.head(MAIN), graph.table()
    for hour in COUNTS:
        assert graph.run(key(hour)).success
    assert graph.published() == before
    assert graph.table() == items
    assert not graph.lake.diff(head.id, MAIN)


def test_the_materialization_tells_what_was_published(make_graph: Callable[..., Graph], xetra: Path) -> None:
    graph = make_graph(xetra)
    result = graph.run(key("08"))
    events = {
        event.asset_key.path[0]: event.step_materialization_data.materialization.metadata
        for event in result.get_asset_materialization_events()
        if event.asset_key is not None
    }
    assert events["stocks_csv"]["size"].value == file_of(xetra, "08").stat().st_size
    assert events["stocks_csv"]["dagster/row_count"].value == 7531
    assert str(events["stocks_csv"]["source"].value).endswith(file_of(xetra, "08").name)
    assert events["stocks_parquet"]["dagster/row_count"].value == 7531
    assert events["stocks_quarantine"]["dagster/row_count"].value == 0
    assert events["stocks_published"]["lake/commit"].value == graph.lake.head(MAIN).id
    assert events["stocks_table"]["dagster/row_count"].value == 727
    merge = graph.lake.head(MAIN)
    assert merge.metadata["run_id"] == result.run_id
    # Publishing it again is no second merge.
    again = publish(graph.lake, graph.instance, result.dagster_run, graph.defs.resolve_asset_graph())
    assert (again.commit, again.merged) == (merge, False)


def test_a_range_in_a_single_run_publishes_each_hour_with_its_own_counts(
    make_graph: Callable[..., Graph], xetra: Path
) -> None:
    graph = make_graph(xetra)
    result = graph.run_range(key("08"), key("09"))
    assert result.success
    assert [bars(graph, hour).num_rows for hour in ("08", "09")] == [7531, 7267]
    counts = {
        (event.asset_key.path[0], event.partition): event.step_materialization_data.materialization.metadata[
            "dagster/row_count"
        ].value
        for event in result.get_asset_materialization_events()
        if event.asset_key is not None and event.asset_key.path[0] in ("stocks_csv", "stocks_parquet")
    }
    assert counts == {
        (name, key(hour)): COUNTS[hour][0] for name in ("stocks_csv", "stocks_parquet") for hour in ("08", "09")
    }
    assert len(list(graph.lake.log(MAIN, prefix="stocks_parquet"))) == 1


def test_a_corrected_file_and_a_removed_security_reach_the_table(
    make_graph: Callable[..., Graph], xetra: Path, tmp_path: Path
) -> None:
    source = copied(xetra, tmp_path / "source")
    graph = make_graph(source)
    for hour in ("08", "09"):
        assert graph.run(key(hour)).success
    lines = file_of(source, "09").read_text().splitlines(keepends=True)
    gone = lines[1].split(",")[0].strip('"')
    file_of(source, "09").write_text("".join(line for line in lines if gone not in line))
    assert graph.run(key("09")).success
    fresh = make_graph(source)
    for hour in ("09", "08"):
        assert fresh.run(key(hour)).success
    assert graph.table() == fresh.table()


def test_a_bad_hour_is_not_published_and_says_why(
    make_graph: Callable[..., Graph], xetra: Path, tmp_path: Path
) -> None:
    source = copied(xetra, tmp_path / "source")
    text = file_of(source, "08").read_text()
    file_of(source, "08").write_text(text.replace(",", ";", 5))
    graph = make_graph(source)
    result = graph.run(key("08"))
    assert not result.success
    failure = next(event for event in result.all_events if event.is_step_failure)
    assert failure.step_key == "parse_stocks"
    assert "header" in failure.step_failure_data.error_display_string
    assert graph.published() == {}
    assert "stocks_table" not in graph.store.tables()


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (lambda lines: [*lines, lines[1]], "key_is_unique"),
        (lambda lines: [lines[0], lines[1].replace(",257.4,7,1", ",999,7,1"), *lines[2:]], "prices_in_range"),
        (
            lambda lines: [lines[0], lines[1].replace(",257.4,7,1", ",257.4,-7,1"), *lines[2:]],
            "volume_not_negative",
        ),
        (lambda lines: [*lines[:10], *(f"bad {n}\n" for n in range(5))], "quarantine_bounded"),
    ],
)
def test_a_failed_blocking_check_stops_everything_downstream(
    make_graph: Callable[..., Graph],
    xetra: Path,
    tmp_path: Path,
    change: Callable[..., list[str]],
    check: str,
) -> None:
    source = copied(xetra, tmp_path / "source")
    lines = file_of(source, "08").read_text().splitlines(keepends=True)
    file_of(source, "08").write_text("".join(change(lines)))
    graph = make_graph(source)
    result = graph.run(key("08"))
    assert not result.success
    failed = [item.check_name for item in result.get_asset_check_evaluations() if not item.passed]
    assert failed == [check]
    assert graph.published() == {}
    assert "stocks_table" not in graph.store.tables()
    # What failed stays for inspection.
    assert graph.lake.branches() == (MAIN, f"run-{result.run_id}")


def test_a_missing_file_fails_at_once_and_leaves_nothing(make_graph: Callable[..., Graph], xetra: Path) -> None:
    graph = make_graph(xetra)
    result = graph.run(key("07"))
    assert not result.success
    failure = next(event for event in result.all_events if event.is_step_failure)
    assert "XETR07.csv" in failure.step_failure_data.error_display_string
    assert not any(event.event_type_value == "STEP_UP_FOR_RETRY" for event in result.all_events)
    assert graph.published() == {}


@pytest.mark.soak
@pytest.mark.timeout(3000)
def test_the_table_is_the_same_in_all_24_orders(make_graph: Callable[..., Graph], xetra: Path) -> None:
    tables = []
    for order in itertools.permutations(COUNTS):
        graph = make_graph(xetra)
        for hour in order:
            assert graph.run(key(hour)).success
        tables.append(graph.table())
    assert all(table == tables[0] for table in tables)
