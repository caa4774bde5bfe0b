"""Backfills by the real daemon of four hours, one of them corrupt: nothing claims what it did not publish."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow.dataset
import pytest
from dagster import AssetKey

from lake_assets import definitions
from lake_assets.defs.stocks.checks import CHECKS
from lake_assets.lake.contract import MAIN
from lake_assets_tests.ui.files import HOURS, add_day, rows_of, spoil_header
from lake_assets_tests.ui.server import SELECTOR, DagsterServer, running

BAD = "09"
GOOD = tuple(hour for hour in HOURS if hour != BAD)
ASSETS = [
    {"path": [name]}
    for name in ("stocks_csv", "stocks_parquet", "stocks_quarantine", "stocks_published", "stocks_table")
]
JOB = {
    "partitionSetName": "stocks_partition_set",
    "repositorySelector": SELECTOR,
}


def keys(day: str, hours: tuple[str, ...] = HOURS) -> list[str]:
    return [f"{day}-{hour}:00" for hour in hours]


def on_main(dagster: DagsterServer, key: str) -> bool:
    day, hour = key[:10], key[11:13]
    with dagster.lake() as lake:
        held = {
            lake.fingerprint(MAIN, f"{name}/day={day}/hour={hour}") is not None
            for name in ("stocks_csv", "stocks_parquet", "stocks_quarantine")
        }
    assert len(held) == 1, f"{key} is on main in part"
    return held.pop()


def assert_published(dagster: DagsterServer, day: str, hours: tuple[str, ...]) -> None:
    """Just these hours of the day are on main, with the rows of their files; the table follows main."""
    whole_day = tuple(f"{hour:02d}" for hour in range(24))
    assert [key for key in keys(day, whole_day) if on_main(dagster, key)] == keys(day, hours)
    latest: dict[str, tuple[str, str]] = {}
    with dagster.lake() as lake:
        for hour in hours:
            expected = rows_of(dagster.source, day, hour)
            root = lake.path(MAIN, f"stocks_parquet/day={day}/hour={hour}").root
            assert pyarrow.dataset.dataset(root, format="parquet").count_rows() == len(expected)
        bars = pyarrow.dataset.dataset(lake.path(MAIN, "stocks_parquet").root, format="parquet")
        for row in bars.to_table(columns=["ISIN", "Date", "Time"]).to_pylist():
            moment = (str(row["Date"]), row["Time"])
            latest[row["ISIN"]] = max(latest.get(row["ISIN"], moment), moment)
    assert {isin: (str(row["Date"]), row["Time"]) for isin, row in dagster.table().items()} == latest


def assert_nothing_claims_more_than_main_holds(dagster: DagsterServer) -> None:
    for asset in ("stocks_published", "stocks_table"):
        for materialization in dagster.materializations(asset):
            assert on_main(dagster, materialization["partition"]), (asset, materialization)


def assert_audited(dagster: DagsterServer, runs: list[dict[str, Any]]) -> None:
    """Every run that ended well ran all the checks."""
    graph = definitions.defs.resolve_asset_graph()
    every = {key.name for key in graph.asset_check_keys if key.asset_key == AssetKey("stocks_parquet")}
    assert every > set(CHECKS)
    for run in runs:
        ran = {event["evaluation"]["checkName"] for event in dagster.events(run["id"]) if "evaluation" in event}
        if run["status"] == "SUCCESS":
            assert ran == every


def merges(dagster: DagsterServer) -> list[str]:
    """Return the runs that were merged into main."""
    with dagster.lake() as lake:
        return [commit.metadata["run_id"] for commit in lake.log(MAIN) if len(commit.parents) > 1]


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("day", "target"),
    [
        pytest.param("2017-07-04", {"assetSelection": ASSETS}, id="assets"),
        pytest.param("2017-07-05", {"selector": JOB}, id="job"),
    ],
)
def test_a_backfill_of_a_run_an_hour_publishes_every_hour_but_the_corrupt_one(
    dagster: DagsterServer, day: str, target: dict[str, Any]
) -> None:
    add_day(dagster.source, day)
    spoil_header(dagster.source, day, BAD)
    status, runs = dagster.backfill(partitionNames=keys(day), **target)

    assert status == "COMPLETED_FAILED"
    ended = {run["tags"]["dagster/partition"]: run["status"] for run in runs}
    assert len(runs) == len(HOURS)
    assert ended == {key: "FAILURE" if key in keys(day, (BAD,)) else "SUCCESS" for key in keys(day)}
    assert_published(dagster, day, GOOD)
    assert_nothing_claims_more_than_main_holds(dagster)
    assert_audited(dagster, runs)
    # What failed keeps its branch for inspection; a run that ended well leaves none.
    with dagster.lake() as lake:
        left = [run["id"] for run in runs if f"run-{run['id']}" in lake.branches()]
    assert left == [run["id"] for run in runs if run["status"] == "FAILURE"]
    assert sorted(run for run in merges(dagster) if run in {item["id"] for item in runs}) == sorted(
        run["id"] for run in runs if run["status"] == "SUCCESS"
    )


@pytest.fixture(scope="module")
def single_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterServer]:
    """Dagster whose backfills are single runs."""
    folder = tmp_path_factory.mktemp("single")
    source = folder / "source"
    source.mkdir()
    with running(folder, source, STOCKS_PARTITIONS_PER_RUN="all") as server:
        yield server


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_a_single_run_with_a_corrupt_hour_publishes_none_of_its_hours(single_run: DagsterServer) -> None:
    day = "2017-07-06"
    add_day(single_run.source, day)
    spoil_header(single_run.source, day, BAD)
    status, runs = single_run.backfill(partitionNames=keys(day), assetSelection=ASSETS)

    assert status == "COMPLETED_FAILED"
    # Dagster's single run is one a range: hours that are not adjacent are runs of their own.
    assert {hours_of(run): run["status"] for run in runs} == {
        ("06", "06"): "SUCCESS",
        ("08", "09"): "FAILURE",
        ("19", "19"): "SUCCESS",
    }
    assert_published(single_run, day, ("06", "19"))
    assert_nothing_claims_more_than_main_holds(single_run)
    assert_audited(single_run, runs)


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("day", "target"),
    [("2017-07-07", {"assetSelection": ASSETS}), ("2017-07-10", {"selector": JOB})],
    ids=["assets", "job"],
)
def test_a_single_run_of_good_hours_publishes_all_of_them_in_one_merge(
    single_run: DagsterServer, day: str, target: dict[str, Any]
) -> None:
    hours = ("06", "07", "08", "09")
    add_day(single_run.source, day, hours)
    before = len(merges(single_run))
    status, (run,) = single_run.backfill(partitionNames=keys(day, hours), **target)

    assert (status, run["status"]) == ("COMPLETED_SUCCESS", "SUCCESS")
    assert hours_of(run) == ("06", "09")
    assert_published(single_run, day, hours)
    assert_nothing_claims_more_than_main_holds(single_run)
    assert_audited(single_run, [run])
    assert merges(single_run)[0] == run["id"]
    assert len(merges(single_run)) == before + 1


def hours_of(run: dict[str, Any]) -> tuple[str, str]:
    """Return the first and last hour of a run over a range."""
    first, last = (run["tags"][f"dagster/asset_partition_range_{end}"] for end in ("start", "end"))
    return first[11:13], last[11:13]
