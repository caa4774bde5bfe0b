"""Inputs that are not there: the partition before the first, a hole in a range, and what was never materialized."""

from __future__ import annotations

from typing import Any, Optional

import pandas
import pyspark.sql
import pytest
from dagster import (
    AssetIn,
    AssetsDefinition,
    DailyPartitionsDefinition,
    MaterializeResult,
    TableColumn,
    TableSchema,
    TimeWindowPartitionMapping,
    asset,
)

from lake_assets.io_managers.raw_file import StoredFile
from lake_assets.lake.errors import PathNotFound
from lake_assets_tests.io_managers.conftest import Workbench

DAYS = DailyPartitionsDefinition("2024-01-01")
SCHEMA = TableSchema([TableColumn("number", "int"), TableColumn("name", "string")])
EMPTY = (["number", "name", "day"], 0)


def running_total(
    annotation: Any, seen: list[Any], manager: str = "parquet_io_manager", allow: bool = False
) -> AssetsDefinition:
    """Return an asset that adds a row to its previous day's."""

    def total(total: Any) -> pandas.DataFrame:
        seen.append(None if total is None else (list(total.columns), len(total)))
        rows = 0 if total is None else seen[-1][1]
        return pandas.DataFrame({"number": range(rows + 1), "name": "a"})

    total.__annotations__["total"] = annotation
    before = TimeWindowPartitionMapping(start_offset=-1, end_offset=-1, allow_nonexistent_upstream_partitions=allow)
    return asset(
        io_manager_key=manager,
        partitions_def=DAYS,
        ins={"total": AssetIn(partition_mapping=before)},
        metadata={"dagster/column_schema": SCHEMA, "nosql/key": "number"},
    )(total)


@pytest.mark.parametrize("manager", ["parquet_io_manager", "lake_file_io_manager", "nosql_io_manager"])
@pytest.mark.parametrize("allow", [False, True])
@pytest.mark.parametrize(
    ("annotation", "first"),
    [(pandas.DataFrame, EMPTY), (Optional[pandas.DataFrame], None), (pandas.DataFrame | None, None)],  # noqa: UP045
)
def test_a_first_partition_gets_none_or_an_empty_frame_and_the_next_what_it_made(
    workbench: Workbench, annotation: Any, first: Any, allow: bool, manager: str
) -> None:
    seen: list[Any] = []
    total = running_total(annotation, seen, manager, allow)
    for number, day in enumerate(("2024-01-01", "2024-01-02", "2024-01-03")):
        result = workbench.run(total, partition_key=day)
        assert result.success
        if manager != "nosql_io_manager":
            workbench.publish(result)
        assert seen[number] == first if number == 0 else seen[number][1] == number


def test_a_first_partitions_spark_frame_has_the_declared_types(workbench: Workbench, spark: Any) -> None:
    seen: list[str] = []

    def total(total: Any) -> pandas.DataFrame:
        seen.append(total.schema.simpleString())
        return pandas.DataFrame({"number": [1], "name": "a"})

    total.__annotations__["total"] = pyspark.sql.DataFrame
    before = AssetIn(partition_mapping=TimeWindowPartitionMapping(start_offset=-1, end_offset=-1))
    made = asset(
        io_manager_key="parquet_io_manager",
        partitions_def=DAYS,
        ins={"total": before},
        metadata={"dagster/column_schema": SCHEMA},
    )(total)
    assert workbench.run(made, partition_key="2024-01-01").success
    assert seen == ["struct<number:int,name:string,day:string>"]


@pytest.mark.parametrize("annotation", [Any, StoredFile])
def test_an_annotation_that_has_no_empty_value_is_refused_with_what_has(workbench: Workbench, annotation: Any) -> None:
    with pytest.raises(TypeError, match="no partition of total comes before this one: annotate the input as Optional"):
        workbench.run(running_total(annotation, [], "lake_file_io_manager"), partition_key="2024-01-01")


def test_a_first_partition_of_files_may_be_an_empty_dict(workbench: Workbench) -> None:
    seen: list[Any] = []

    def total(total: Any) -> MaterializeResult[Any]:
        seen.append(total)
        return MaterializeResult()

    total.__annotations__["total"] = dict[str, StoredFile]
    before = AssetIn(partition_mapping=TimeWindowPartitionMapping(start_offset=-1, end_offset=-1))
    made = asset(io_manager_key="lake_file_io_manager", partitions_def=DAYS, ins={"total": before})(total)
    assert workbench.run(made, partition_key="2024-01-01").success
    assert seen == [{}]


def bars() -> AssetsDefinition:
    """Return a daily asset."""

    @asset(io_manager_key="parquet_io_manager", partitions_def=DAYS)
    def bars() -> pandas.DataFrame:
        return pandas.DataFrame({"number": [1]})

    return bars


def reader(annotation: Any = pandas.DataFrame) -> AssetsDefinition:
    """Return an asset that reads it."""

    def reader(bars: Any) -> MaterializeResult[Any]:
        return MaterializeResult()

    reader.__annotations__["bars"] = annotation
    return asset(partitions_def=DAYS)(reader)


def ranged(first: str, last: str) -> dict[str, str]:
    """Return the tags of a run over several partitions."""
    return {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}


@pytest.mark.parametrize("annotation", [pandas.DataFrame, pyspark.sql.DataFrame])
def test_a_hole_in_a_range_names_the_asset_and_the_partitions(workbench: Workbench, annotation: Any) -> None:
    for day in ("2024-01-01", "2024-01-03"):
        workbench.publish(workbench.run(bars(), partition_key=day))
    told = r"^bars 2024-01-02 \(1 of 3 partitions\) are not in the lake: materialize it first "
    with pytest.raises(PathNotFound, match=told):
        workbench.run(bars(), reader(annotation), selection=["reader"], tags=ranged("2024-01-01", "2024-01-03"))
    told = (
        r"^bars 2024-01-02, 2024-01-04, 2024-01-05, 2024-01-06, 2024-01-07 and 3 more \(8 of 10 partitions\) are not "
        r"in the lake: materialize them first "
    )
    with pytest.raises(PathNotFound, match=told) as raised:
        workbench.run(bars(), reader(annotation), selection=["reader"], tags=ranged("2024-01-01", "2024-01-10"))
    assert len(str(raised.value).splitlines()) == 1


def test_a_missing_partition_and_a_missing_asset_are_named(workbench: Workbench) -> None:
    for tags in ({"partition_key": "2024-01-02"}, {"tags": ranged("2024-01-02", "2024-01-02")}):
        with pytest.raises(PathNotFound, match=r"^bars 2024-01-02 is not in the lake: materialize it first "):
            workbench.run(bars(), reader(), selection=["reader"], **tags)
    with pytest.raises(PathNotFound, match=r"^bars 2024-01-02, 2024-01-03 \(2 of 2 partitions\) are not in the lake"):
        workbench.run(bars(), reader(), selection=["reader"], tags=ranged("2024-01-02", "2024-01-03"))


def test_partitions_that_need_each_other_are_not_made_in_one_run(workbench: Workbench) -> None:
    with pytest.raises(PathNotFound, match="own earlier partitions, so materialize them first, each in its own run"):
        workbench.run(running_total(pandas.DataFrame, []), tags=ranged("2024-01-01", "2024-01-03"))
