"""What an asset's prefix holds is what its definition says: a write beside files of another layout is refused."""

from __future__ import annotations

from typing import Any

import pandas
import pytest
from dagster import (
    AssetsDefinition,
    DailyPartitionsDefinition,
    ExecuteInProcessResult,
    HourlyPartitionsDefinition,
    MultiPartitionsDefinition,
    PartitionsDefinition,
    StaticPartitionsDefinition,
    WeeklyPartitionsDefinition,
    asset,
)

from lake_assets.lake.contract import MAIN, Lake
from lake_assets.layout.partitioning import find_misplaced
from lake_assets.layout.partitions import windows_of
from lake_assets_tests.audits import TESTS
from lake_assets_tests.io_managers.conftest import Workbench
from lake_assets_tests.lake.backends import BACKENDS, LakeSpec, fresh_place, put

DAYS, HOURS = DailyPartitionsDefinition("2024-01-01"), HourlyPartitionsDefinition("2024-01-01-00:00")
CITIES = StaticPartitionsDefinition(["rome", "köln"])
LAYOUTS: dict[str, tuple[PartitionsDefinition[str] | None, str | None]] = {
    "unpartitioned": (None, None),
    "partitioned by day": (DAYS, "2024-01-02"),
    "partitioned by day, hour": (HOURS, "2024-01-02-03:00"),
    "partitioned by partition": (CITIES, "rome"),
}


def sales(definition: PartitionsDefinition[str] | None) -> AssetsDefinition:
    @asset(partitions_def=definition, io_manager_key="parquet_io_manager")
    def sales() -> pandas.DataFrame:
        return pandas.DataFrame({"n": [1]})

    return sales


def materialize(workbench: Workbench, layout: str, **options: Any) -> ExecuteInProcessResult:
    definition, key = LAYOUTS[layout]
    return workbench.run(sales(definition), partition_key=key, **options)


@pytest.mark.parametrize("now", LAYOUTS)
@pytest.mark.parametrize("before", LAYOUTS)
def test_a_write_that_is_partitioned_in_another_way_is_refused_in_one_line(
    workbench: Workbench, before: str, now: str
) -> None:
    first = materialize(workbench, before)
    workbench.lake.merge(workbench.branch(first), MAIN, audit=TESTS)
    held = [item.path for item in workbench.lake.list(MAIN)]
    second = materialize(workbench, now, raise_on_error=False)
    assert second.success == (before == now)
    assert [item.path for item in workbench.lake.list(workbench.branch(second), "sales")] == held
    if before != now:
        (failed,) = [event.step_failure_data for event in second.all_events if event.is_step_failure]
        assert failed.user_failure_data is not None
        said = failed.user_failure_data.description
        assert said == (
            f"sales is {now} by its definition, and the lake holds it {before}, such as {held[0]!r}: take that off "
            "main by `lake-assets delete sales`, then materialize it again in a new run."
        )


def test_other_time_windows_with_folders_of_the_same_names_are_refused(workbench: Workbench) -> None:
    weeks = WeeklyPartitionsDefinition("2024-01-01", day_offset=1)
    berlin = DailyPartitionsDefinition("2024-01-01", timezone="Europe/Berlin")
    cities = MultiPartitionsDefinition({"day": DAYS, "city": CITIES})
    assert windows_of(cities) == "day: 0 0 * * * UTC"
    first = workbench.run(sales(weeks), partition_key="2024-01-08")
    workbench.lake.merge(workbench.branch(first), MAIN, audit=TESTS)
    later = WeeklyPartitionsDefinition("2023-01-02", day_offset=1, timezone="Etc/UTC")
    assert workbench.run(sales(later), partition_key="2024-01-15").success
    for other, said in ((DAYS, "0 0 * * * UTC"), (berlin, "0 0 * * * Europe/Berlin")):
        refused = workbench.run(sales(other), partition_key="2024-01-08", raise_on_error=False)
        (failed,) = [event.step_failure_data for event in refused.all_events if event.is_step_failure]
        assert failed.user_failure_data is not None
        assert f"sales is partitioned by day ({said}) by its definition, and the lake holds it partitioned by day " in (
            failed.user_failure_data.description or ""
        )
        assert not workbench.lake.diff(MAIN, workbench.branch(refused))


@pytest.mark.parametrize("layout", ["unpartitioned", "partitioned by day"])
def test_no_write_touches_another_asset_that_lies_in_the_folder_since_format_1(
    workbench: Workbench, layout: str
) -> None:
    workbench.lake.create_branch("old", MAIN)
    put(workbench.lake, "old", "sales/daily", {"_manifest.json": "{}", "part-0.parquet": "1"})
    workbench.lake.merge("old", MAIN, audit=TESTS)
    refused = materialize(workbench, layout, raise_on_error=False)
    (failed,) = [event.step_failure_data for event in refused.all_events if event.is_step_failure]
    assert failed.user_failure_data is not None
    assert failed.user_failure_data.description == (
        "'sales/daily/_manifest.json' lies in the folder of sales, but is not one of its files: this lake was made by "
        "an older program. Run `lake-assets migrate`, which moves each asset to a folder of its own."
    )
    assert not workbench.lake.diff(MAIN, workbench.branch(refused))


@pytest.fixture(params=BACKENDS)
def lake(request: pytest.FixtureRequest, tmp_path: Any) -> Any:
    lake = LakeSpec(request.param, fresh_place(request.param, tmp_path)).open()
    lake.create_branch("work", MAIN)
    yield lake
    lake.close()


@pytest.mark.parametrize("stray", ["Day=1/_manifest.json", "_manifest.json", "a.parquet", "zone=1/a", "day=1/a"])
def test_what_lies_before_behind_or_between_the_partitions_is_found(lake: Lake, stray: str) -> None:
    days = {
        f"day={day}/hour={hour}/{name}": "1" for day in (1, 2) for hour in (1, 2) for name in ("_manifest.json", "b")
    }
    put(lake, "work", "t", days)
    put(lake, "work", "t2", {"month=1/a": "1"})
    assert find_misplaced(lake, "work", "t", ("day", "hour")) is None
    assert find_misplaced(lake, "work", "u", ("day", "hour")) is None
    put(lake, "work", "t", {stray: "1"}, mode="append")
    assert find_misplaced(lake, "work", "t", ("day", "hour")) == f"t/{stray}"
