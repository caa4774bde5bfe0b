"""Inputs of several partitions: what exists is loaded, in time that follows it, and holes are allowed or refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas
import pyarrow as pa
import pytest
from dagster import (
    AllPartitionMapping,
    AssetIn,
    AssetsDefinition,
    DailyPartitionsDefinition,
    ExecuteInProcessResult,
    HourlyPartitionsDefinition,
    MultiPartitionsDefinition,
    PartitionsDefinition,
    StaticPartitionsDefinition,
    asset,
)

from lake_assets.io_managers.raw_file import StoredFile
from lake_assets.lake.errors import PathNotFound
from lake_assets_tests.io_managers.conftest import Workbench

HOURS = HourlyPartitionsDefinition("2017-06-17-00:00")
"""More than 80,000 until now."""
DAYS = DailyPartitionsDefinition("2017-06-17")
ALLOW = {"allow_missing_partitions": True}


def hours(definition: PartitionsDefinition[str] = HOURS, **options: Any) -> Any:
    """Return an asset of which some partitions are made."""

    @asset(io_manager_key="parquet_io_manager", partitions_def=definition, **options)
    def hours() -> pa.Table:
        return pa.table({"number": [1]})

    return hours


def reading(seen: list[Any], annotation: Any = pandas.DataFrame, **options: Any) -> AssetsDefinition:
    """Return an asset that notes what it is given."""

    def reader(hours: Any) -> None:
        seen.append(hours)

    reader.__annotations__["hours"] = annotation
    return asset(**options)(reader)


def published(workbench: Workbench, made: AssetsDefinition, keys: Sequence[str]) -> None:
    """Make partitions, and publish them."""
    for key in keys:
        workbench.publish(workbench.run(made, partition_key=key))


def loading(result: ExecuteInProcessResult) -> dict[str, Any]:
    """Return the metadata of the one input that a run loaded."""
    (event,) = (event for event in result.all_events if event.event_type_value == "LOADED_INPUT")
    return {name: value.value for name, value in event.event_specific_data.metadata.items()}  # type: ignore[union-attr]


def test_an_asset_without_partitions_reads_those_that_exist_and_is_told_of_the_holes(workbench: Workbench) -> None:
    keys = [f"2017-07-28-{hour:02}:00" for hour in (8, 9, 11)]
    published(workbench, hours(), keys)
    seen: list[Any] = []
    result = workbench.run(hours(), reading(seen), selection=["reader"])
    assert seen[0].values.tolist() == [[1, "2017-07-28", f"{hour:02}"] for hour in (8, 9, 11)]
    metadata = loading(result)
    assert metadata["lake/partitions"] == 3
    assert metadata["lake/missing_partitions"] == HOURS.get_num_partitions() - 3
    assert metadata["lake/first_missing"].startswith("2017-06-17-00:00, 2017-06-17-01:00, ")


@pytest.mark.parametrize(
    ("definition", "keys"),
    [
        (StaticPartitionsDefinition(["a", "b", "c"]), ["a", "c"]),
        (DailyPartitionsDefinition("2024-01-01", timezone="Europe/Berlin"), ["2024-03-31", "2024-10-27"]),
        (HourlyPartitionsDefinition("2023-10-28-00:00", timezone="Europe/Berlin"), ["2023-10-29-02:00"]),
        (
            MultiPartitionsDefinition({"day": DAYS, "desk": StaticPartitionsDefinition(["x", "y"])}),
            ["2017-07-28|x", "2017-07-29|y"],
        ),
    ],
    ids=["static", "daily in Berlin", "hourly in Berlin", "multi"],
)
def test_of_every_kind_of_partitions_those_that_exist_are_loaded(
    workbench: Workbench, definition: PartitionsDefinition[str], keys: list[str]
) -> None:
    published(workbench, hours(definition), keys)
    seen: list[Any] = []
    assert workbench.run(hours(definition), reading(seen), selection=["reader"]).success
    assert len(seen[0]) == len(keys)


def test_all_partitions_of_an_asset_that_was_never_made_are_an_error(workbench: Workbench) -> None:
    with pytest.raises(PathNotFound, match=r"^hours 2017-06-17-00:00, .* are not in the lake: materialize them first "):
        workbench.run(hours(), reading([]), selection=["reader"])
    seen: list[Any] = []
    read = reading(seen, ins={"hours": AssetIn(metadata=ALLOW)})
    assert workbench.run(hours(), read, selection=["reader"]).success
    assert (len(seen[0]), list(seen[0].columns)) == (0, ["day", "hour"])


def test_a_hole_in_a_day_of_hours_is_an_error_that_says_how_to_allow_it(workbench: Workbench) -> None:
    published(workbench, hours(), ["2017-07-28-08:00"])
    told = (
        r"^hours 2017-07-28-00:00, .* and 18 more \(23 of 24 partitions\) are not in the lake: materialize them first "
        r'or, to load what exists, give the input AssetIn\(metadata=\{"allow_missing_partitions": True\}\)'
    )
    with pytest.raises(PathNotFound, match=told):
        workbench.run(hours(), reading([], partitions_def=DAYS), selection=["reader"], partition_key="2017-07-28")


@pytest.mark.parametrize("where", ["input", "reading asset", "asset that is read"])
def test_metadata_allow_holes_in_a_range(workbench: Workbench, where: str) -> None:
    made = hours(metadata=ALLOW if where == "asset that is read" else None)
    published(workbench, made, ["2017-07-28-08:00", "2017-07-28-09:00", "2017-07-29-08:00"])
    seen: list[Any] = []
    read = reading(
        seen,
        partitions_def=DAYS,
        metadata=ALLOW if where == "reading asset" else None,
        ins={"hours": AssetIn(metadata=ALLOW)} if where == "input" else None,
    )
    result = workbench.run(made, read, selection=["reader"], partition_key="2017-07-28")
    assert list(seen[0]["hour"]) == ["08", "09"]
    assert loading(result)["lake/missing_partitions"] == 22
    workbench.run(made, read, selection=["reader"], partition_key="2017-07-30")
    assert (len(seen[1]), list(seen[1].columns)) == (0, ["day", "hour"])


def test_metadata_refuse_holes_in_all_partitions(workbench: Workbench) -> None:
    published(workbench, hours(), ["2017-07-28-08:00"])
    strict = {"hours": AssetIn(metadata={"allow_missing_partitions": False}, partition_mapping=AllPartitionMapping())}
    with pytest.raises(PathNotFound, match=r"2017-06-17-00:00, .* are not in the lake"):
        workbench.run(hours(), reading([], ins=strict), selection=["reader"])


def test_all_files_that_exist_are_loaded_by_partition(workbench: Workbench) -> None:
    @asset(io_manager_key="lake_file_io_manager", partitions_def=HOURS)
    def hours() -> pandas.DataFrame:
        return pandas.DataFrame({"number": [1]})

    keys = ["2017-07-28-08:00", "2017-07-28-11:00"]
    published(workbench, hours, keys)
    seen: list[Any] = []
    workbench.run(hours, reading(seen, dict[str, StoredFile]), selection=["reader"])
    assert list(seen[0]) == keys
    workbench.run(hours, reading(seen, pa.Table), selection=["reader"])
    assert seen[1].to_pydict() == {"number": [1, 1], "day": ["2017-07-28"] * 2, "hour": ["08", "11"]}


@pytest.mark.parametrize("possible", [10, 80_000])
def test_ten_partitions_cost_the_same_calls_of_ten_possible_ones_and_of_eighty_thousand(
    workbench: Workbench, possible: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [f"2017-06-17-{hour:02}:00" for hour in range(10)]
    end = HOURS.start + possible * (HOURS.time_window_for_partition_key(keys[0]).end - HOURS.start)
    definition = HourlyPartitionsDefinition("2017-06-17-00:00", end_date=end)
    assert definition.get_num_partitions() == possible

    @asset(name="hours", io_manager_key="parquet_io_manager", partitions_def=definition)
    def made() -> pa.Table:
        return pa.table({"number": [1] * 10, "day": ["2017-06-17"] * 10, "hour": [key[11:13] for key in keys]})

    tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
    workbench.publish(workbench.run(made, tags=tags))
    calls = _counted(monkeypatch)
    seen: list[Any] = []
    assert workbench.run(made, reading(seen), selection=["reader"]).success
    assert list(seen[0]["hour"]) == [f"{hour:02}" for hour in range(10)]
    # Of the lake: one listing and one place. Of Dagster: a key at a time, for what exists and the first holes. Before
    # that it spells all keys once itself, to see whether they are too many to keep data versions of.
    assert (calls["list"], calls["path"], calls["fingerprint"]) == (1, 1, 0)
    assert calls["partition_columns"] <= 30
    assert calls["get_partition_keys"] <= 1 or possible == 10


def _counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the calls that may not follow the number of possible partitions."""
    from lake_assets.io_managers import inputs
    from lake_assets.lake.embedded import GitLake

    calls: Counter[str] = Counter()
    places = [(GitLake, "list"), (GitLake, "path"), (GitLake, "fingerprint")]
    places += [(inputs, "partition_columns"), (HourlyPartitionsDefinition, "get_partition_keys")]
    for owner, name in places:
        monkeypatch.setattr(owner, name, _counting(getattr(owner, name), name, calls))
    return calls


def _counting(called: Any, name: str, calls: Counter[str]) -> Any:
    def counting(*args: Any, **options: Any) -> Any:
        calls[name] += 1
        return called(*args, **options)

    return counting
