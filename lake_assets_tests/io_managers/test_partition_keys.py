"""Partition keys of every spelling: each comes back, or is refused in one line. And ranges where the clocks change."""

from __future__ import annotations

import unicodedata
from typing import Any

import pandas
import pytest
from dagster import (
    AssetsDefinition,
    DailyPartitionsDefinition,
    DynamicPartitionsDefinition,
    HourlyPartitionsDefinition,
    MaterializeResult,
    MultiPartitionKey,
    MultiPartitionsDefinition,
    PartitionsDefinition,
    StaticPartitionsDefinition,
    asset,
)
from hypothesis import given
from hypothesis import strategies as st

from lake_assets.frames.hive_folders import folder
from lake_assets.layout.partitions import PartitionKeyError, folders, partition_columns, partition_key_of
from lake_assets_tests.io_managers.conftest import Workbench

KEPT = [
    *(
        ".",
        "..",
        "_x",
        ".x",
        " ",
        "a ",
        "a/b",
        "../a",
        "c=d",
        "partition=x",
        "x y%",
        "%2F",
        "%252F",
        "a#b?c",
        "a+b",
        "~",
    ),
    *(
        "[1]",
        "{a,b}",
        "*",
        "a:b",
        "a\\b",
        '"',
        "'",
        "^",
        "Köln",
        unicodedata.normalize("NFD", "Köln"),
        "東京",
        "🙂",
        "null",
    ),
    *("a|b", "NaN", "01", "1", "1.0", "-", "a" * 245, "ä" * 122),
]
REFUSED = {
    "": "empty",
    "__HIVE_DEFAULT_PARTITION__": "null",
    "a" * 246: "shorter",
    "%" * 100: "shorter",
    "a\0b": "control",
    "a\x85b": "control",
    "a\ud800b": "unpaired",
}
DYNAMIC = DynamicPartitionsDefinition(name="batches")
ONE = StaticPartitionsDefinition(["one"])


def several(keys: list[str]) -> MultiPartitionsDefinition:
    """Return keys as one of two dimensions."""
    return MultiPartitionsDefinition({"kind": StaticPartitionsDefinition(keys), "at": ONE})


@pytest.mark.parametrize("key", KEPT)
def test_a_key_has_a_folder_of_its_own_that_leads_back_to_it(key: str) -> None:
    place = folders(DYNAMIC, [key])[key]
    assert place.count("/") == 0
    assert partition_key_of(DYNAMIC, place) == key
    if not set("|[],") & set(key):
        pair = MultiPartitionKey({"kind": key, "at": "one"})
        assert partition_key_of(several([key]), folder(partition_columns(several([key]), pair))) == pair
    assert len(set(folders(DYNAMIC, KEPT).values())) == len(KEPT)


@given(st.lists(st.text(min_size=1, max_size=20), unique=True))
def test_any_keys_have_folders_of_their_own_or_are_refused(keys: list[str]) -> None:
    places: dict[str, str] = {}
    refused: list[tuple[str, str]] = []
    for key in keys:
        try:
            places |= folders(DYNAMIC, [key])
        except PartitionKeyError as error:
            refused.append((key, str(error)))
        else:
            assert partition_key_of(DYNAMIC, places[key]) == key
    assert all(repr(key) in told and len(told.splitlines()) == 1 for key, told in refused)
    assert len(set(places.values())) == len(places)


@pytest.mark.parametrize(("key", "why"), REFUSED.items())
def test_what_no_folder_can_spell_is_refused_by_name(key: str, why: str) -> None:
    with pytest.raises(PartitionKeyError, match=f"partition key .*{why}") as told:
        folders(DYNAMIC, [key])
    assert repr(key) in str(told.value)
    assert len(str(told.value).splitlines()) == 1


@pytest.mark.parametrize("dimension", ["a=b", "a/b", "x y%"])
def test_a_dimension_of_any_name_is_a_folder(dimension: str) -> None:
    definition = MultiPartitionsDefinition({dimension: StaticPartitionsDefinition(["c=d"]), "zz": ONE})
    (key,) = definition.get_partition_keys()
    place = folders(definition, [key])[key]
    assert place.count("/") == 1
    assert partition_key_of(definition, place) == key


@pytest.mark.parametrize("dimension", [".a", "_a"])
def test_a_dimension_whose_folder_engines_would_pass_over_is_refused(dimension: str) -> None:
    definition = MultiPartitionsDefinition({dimension: StaticPartitionsDefinition(["x"]), "zz": ONE})
    with pytest.raises(PartitionKeyError, match="engines ignore folders"):
        folders(definition, definition.get_partition_keys())


def frames(definition: PartitionsDefinition[str], frame: pandas.DataFrame) -> AssetsDefinition:
    """Return an asset of a frame."""

    @asset(name="rows", io_manager_key="parquet_io_manager", partitions_def=definition)
    def rows() -> Any:
        return frame

    return rows


def reader(definition: PartitionsDefinition[str], seen: list[list[str]]) -> AssetsDefinition:
    """Return an asset that reads that frame."""

    def reader(rows: Any) -> MaterializeResult[Any]:
        seen.append(sorted(rows["name"]))
        return MaterializeResult()

    reader.__annotations__["rows"] = pandas.DataFrame
    return asset(partitions_def=definition)(reader)


def ranged(first: str, last: str) -> dict[str, str]:
    """Return the tags of a run over several partitions."""
    return {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}


def test_frames_of_odd_keys_are_stored_alone_and_together(workbench: Workbench) -> None:
    keys = [key for key in KEPT if key != "a|b"]
    definition = StaticPartitionsDefinition(keys)
    seen: list[list[str]] = []
    frame = pandas.DataFrame({"name": keys, "partition": keys})
    result = workbench.run(frames(definition, frame), reader(definition, seen), tags=ranged(keys[0], keys[-1]))
    assert result.success
    assert seen == [sorted(keys)]
    for key in ("..", "a/b", "%2F", "a" * 245):
        only = pandas.DataFrame({"name": [key]})
        assert workbench.run(frames(definition, only), reader(definition, seen), partition_key=key).success
        assert seen[-1] == [key]


def test_a_local_days_frame_may_name_its_day(workbench: Workbench) -> None:
    days = DailyPartitionsDefinition("2024-03-30", timezone="Europe/Berlin", end_date="2024-04-02")
    frame = pandas.DataFrame({"name": ["a"], "day": ["2024-03-31"]})
    result = workbench.run(frames(days, frame), partition_key="2024-03-31")
    assert result.success
    paths = [item.path for item in workbench.lake.list(workbench.branch(result), "rows")]
    assert all(path.startswith("rows/day=2024-03-31/") for path in paths)


def test_a_range_over_the_end_of_summer_time_is_written_and_read(workbench: Workbench) -> None:
    hours = HourlyPartitionsDefinition("2024-10-27-00:00", timezone="Europe/Berlin", end_date="2024-10-27-05:00")
    spelled = ["01", "02", "02+0100", "03"]
    frame = pandas.DataFrame({"name": spelled, "day": "2024-10-27", "hour": spelled})
    seen: list[list[str]] = []
    tags = ranged("2024-10-27-01:00", "2024-10-27-03:00")
    result = workbench.run(frames(hours, frame), reader(hours, seen), tags=tags)
    assert result.success
    assert seen == [spelled]
    told = [item.partition for item in result.get_asset_materialization_events() if item.asset_key is not None][:4]
    assert told == ["2024-10-27-01:00", "2024-10-27-02:00", "2024-10-27-02:00+0100", "2024-10-27-03:00"]
