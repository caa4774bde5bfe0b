"""Every IO manager stores and loads pandas and Spark frames alike."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pandas
import pyspark.sql
import pytest
from dagster import AssetsDefinition, DailyPartitionsDefinition, MaterializeResult, asset

from lake_assets_tests.audits import TESTS
from lake_assets_tests.io_managers.conftest import Workbench

MANAGERS = ("parquet_io_manager", "lake_file_io_manager", "nosql_io_manager")
ENGINES: dict[str, type] = {"pandas": pandas.DataFrame, "spark": pyspark.sql.DataFrame}
ROWS = [("CH0011075394", date(2017, 7, 28), 2.5, 4), ("DE0007164600", date(2017, 7, 28), 1.5, 3)]
DAYS = DailyPartitionsDefinition(start_date="2017-07-27", end_date="2017-07-31")

pytestmark = pytest.mark.usefixtures("spark")


def frame(engine: str, rows: list[tuple[Any, ...]], schema: str) -> Any:
    """Return rows as a frame of that engine."""
    session = pyspark.sql.SparkSession.getActiveSession()
    assert session is not None
    if engine == "spark":
        return session.createDataFrame(rows, schema)
    return pandas.DataFrame(rows, columns=pandas.Index([column.split()[0] for column in schema.split(", ")]))


def rows_of(value: Any) -> list[tuple[Any, ...]]:
    """Return a frame's rows, sorted, whatever its engine."""
    if isinstance(value, pandas.DataFrame):
        return sorted(value.itertuples(index=False, name=None))
    return sorted(tuple(row) for row in value.collect())


def reading(engine: type | str, seen: list[Any], **options: Any) -> AssetsDefinition:
    """Return an asset that reads `bars` as that engine's frame."""

    def reader(bars: Any) -> MaterializeResult[Any]:
        seen.append(rows_of(bars))
        return MaterializeResult()

    reader.__annotations__["bars"] = ENGINES.get(engine, engine) if isinstance(engine, str) else engine
    return asset(name="reader", **options)(reader)


@pytest.mark.parametrize("manager", MANAGERS)
@pytest.mark.parametrize("written_as", ENGINES)
@pytest.mark.parametrize("read_as", ENGINES)
def test_a_frame_comes_back_as_the_frame_that_the_annotation_asks_for(
    workbench: Workbench, manager: str, written_as: str, read_as: str
) -> None:
    @asset(io_manager_key=manager, metadata={"nosql/key": "ISIN"})
    def bars() -> Any:
        return frame(written_as, ROWS, "ISIN string, Date date, Price double, Trades int")

    seen: list[Any] = []
    assert workbench.run(bars, reading(read_as, seen)).success
    assert seen == [ROWS]


@pytest.mark.parametrize("manager", MANAGERS)
def test_another_type_is_refused_with_what_is_supported(workbench: Workbench, manager: str) -> None:
    @asset(io_manager_key=manager, metadata={"nosql/key": "ISIN"})
    def bars() -> Any:
        return {"not": "a frame"}

    with pytest.raises(Exception, match=r"bars .*dict.* stores .*pandas.DataFrame or pyspark.sql.DataFrame"):
        workbench.run(bars)


@pytest.mark.parametrize("manager", MANAGERS)
def test_an_unsupported_annotation_is_refused_with_what_is_supported(workbench: Workbench, manager: str) -> None:
    @asset(io_manager_key=manager, metadata={"nosql/key": "ISIN"})
    def bars() -> Any:
        return frame("pandas", ROWS, "ISIN string, Date date, Price double, Trades int")

    with pytest.raises(Exception, match=r"cannot load .*bars.* pandas.DataFrame or pyspark.sql.DataFrame"):
        workbench.run(bars, reading(list, []))


@pytest.mark.parametrize("engine", ENGINES)
def test_one_run_over_several_partitions_writes_each_ones_folder_and_row_count(
    workbench: Workbench, engine: str
) -> None:
    @asset(io_manager_key="parquet_io_manager", partitions_def=DAYS)
    def bars() -> Any:
        rows = [("a", 1, "2017-07-27"), ("b", 2, "2017-07-27"), ("c", 3, "2017-07-29")]
        return frame(engine, rows, "name string, number int, day string")

    seen: list[Any] = []
    result = workbench.run(
        bars,
        reading(engine, seen, partitions_def=DAYS),
        tags={
            "dagster/asset_partition_range_start": "2017-07-27",
            "dagster/asset_partition_range_end": "2017-07-29",
        },
    )
    assert result.success
    counts = {
        event.partition: event.step_materialization_data.materialization.metadata["dagster/row_count"].value
        for event in result.get_asset_materialization_events()
        if event.asset_key is not None and event.asset_key.path == ["bars"]
    }
    assert counts == {"2017-07-27": 2, "2017-07-28": 0, "2017-07-29": 1}
    files = [item.path for item in workbench.lake.list(f"run-{result.run_id}", "bars")]
    assert {path.rpartition("/")[0] for path in files if path.endswith(".parquet")} == {
        f"bars/day=2017-07-{day}" for day in (27, 28, 29)
    }
    assert [[row[:2] for row in rows] for rows in seen] == [[("a", 1), ("b", 2), ("c", 3)]]
    assert [row[2] for row in seen[0]] == ["2017-07-27", "2017-07-27", "2017-07-29"]


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_of_another_partition_than_those_being_written_are_refused(workbench: Workbench, engine: str) -> None:
    @asset(io_manager_key="parquet_io_manager", partitions_def=DAYS)
    def bars() -> Any:
        return frame(engine, [("a", "2017-07-27"), ("b", "2017-07-30")], "name string, day string")

    with pytest.raises(Exception, match="1 of 2 rows belong to none of the partitions"):
        workbench.run(
            bars,
            tags={
                "dagster/asset_partition_range_start": "2017-07-27",
                "dagster/asset_partition_range_end": "2017-07-28",
            },
        )
    assert [list(workbench.lake.list(name)) for name in workbench.lake.branches()] == [[], []]


@pytest.mark.parametrize("engine", ENGINES)
def test_equal_rows_have_equal_versions_and_make_no_new_commit(workbench: Workbench, engine: str) -> None:
    turned = [0]

    @asset(io_manager_key="parquet_io_manager")
    def bars() -> Any:
        return frame(engine, ROWS[:: -1 if turned[0] else 1], "ISIN string, Date date, Price double, Trades int")

    versions: list[Any] = []
    heads: list[str] = []
    for number in (0, 0, 1):
        turned[0] = number
        result = workbench.run(bars)
        event = result.get_asset_materialization_events()[0].step_materialization_data.materialization
        assert event.tags is not None
        versions.append(event.tags["dagster/data_version"])
        workbench.lake.merge(workbench.branch(result), "main", audit=TESTS)
        heads.append(workbench.lake.head("main").id)
        # The commit that a materialization names holds its bytes, whoever made it.
        assert list(workbench.lake.list(str(event.metadata["lake/commit"].value), "bars"))
    assert len(set(versions)) == 1
    assert len(set(heads)) == 1


NOTHING: list[Any] = []
CORRECTIONS = {
    "a text moves to an empty column": (("ALV", None), (None, "ALV")),
    "nothing becomes an empty text": (("ALV", None), ("ALV", "")),
    "nothing becomes zero": ((1, None), (1, 0)),
    "nothing becomes an empty list": (([1], None), ([1], NOTHING)),
    "a list holds nothing more": (([1], [2]), ([1], [2, None])),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CORRECTIONS)
def test_a_correction_makes_a_commit_however_small_it_is(workbench: Workbench, engine: str, name: str) -> None:
    before, after = CORRECTIONS[name]
    kind = {str: "string", int: "int", list: "array<int>"}[type(before[0])]
    others = ([1], [1]) if kind.startswith("array") else (before[0], before[0])

    @asset(io_manager_key="parquet_io_manager")
    def bars() -> Any:
        return frame(engine, [others, row], f"Mnemonic {kind}, SecurityDesc {kind}")

    heads: list[str] = []
    for row in (before, after):  # noqa: B007
        workbench.lake.merge(workbench.branch(workbench.run(bars)), "main", audit=TESTS)
        heads.append(workbench.lake.head("main").id)
    assert heads[0] != heads[1]


def test_the_same_rows_of_another_engine_make_no_new_commit(workbench: Workbench) -> None:
    @asset(io_manager_key="parquet_io_manager")
    def bars() -> Any:
        return frame(engine, rows, "ISIN string, Date date, Price double, Trades long")

    rows = [*ROWS, ("", None, -0.0, 0), (None, date(1, 1, 1), float("inf"), 7)]
    heads: list[str] = []
    for engine in ENGINES:  # noqa: B007
        workbench.lake.merge(workbench.branch(workbench.run(bars)), "main", audit=TESTS)
        heads.append(workbench.lake.head("main").id)
    assert heads[0] == heads[1]


def test_a_materialization_and_its_commit_name_each_other(workbench: Workbench) -> None:
    @asset(io_manager_key="parquet_io_manager", code_version="7")
    def bars() -> Any:
        return frame("pandas", ROWS, "ISIN string, Date date, Price double, Trades int")

    def doubled(bars: pandas.DataFrame) -> pandas.DataFrame:
        return bars

    doubled.__annotations__["bars"] = pandas.DataFrame
    result = workbench.run(bars, asset(io_manager_key="parquet_io_manager")(doubled))
    events = {
        event.asset_key.path[0]: event.step_materialization_data.materialization
        for event in result.get_asset_materialization_events()
        if event.asset_key is not None
    }
    first = workbench.lake.head(str(events["bars"].metadata["lake/commit"].value))
    second = workbench.lake.head(str(events["doubled"].metadata["lake/commit"].value))
    assert first.metadata["run_id"] == result.run_id
    assert (first.metadata["asset"], first.metadata["code_version"], first.metadata["rows"]) == (
        "bars",
        "7",
        "2",
    )
    assert second.metadata["input:bars"] == first.id
    metadata = events["doubled"].metadata
    assert metadata["dagster/row_count"].value == 2
    assert metadata["dagster/uri"].value == f"lake://{second.id}/doubled"
    assert [column.name for column in metadata["dagster/column_schema"].schema.columns] == [  # type: ignore[union-attr]
        "ISIN",
        "Date",
        "Price",
        "Trades",
    ]
    assert "CH0011075394" in str(metadata["preview"].value)


def test_a_failed_step_leaves_the_branch_as_it_was(workbench: Workbench) -> None:
    @asset(io_manager_key="parquet_io_manager")
    def bars() -> Any:
        session = pyspark.sql.SparkSession.getActiveSession()
        assert session is not None
        return session.sql("select id, raise_error('row 3') as oops from range(3)")

    result = workbench.run(bars, raise_on_error=False)
    assert not result.success
    assert list(workbench.lake.list(workbench.branch(result))) == []


def test_of_a_step_that_spark_failed_the_first_line_is_the_cause(workbench: Workbench) -> None:
    @asset(io_manager_key="parquet_io_manager")
    def bars() -> Any:
        session = pyspark.sql.SparkSession.getActiveSession()
        assert session is not None
        return session.sql("select id, cast(raise_error('row 3') as string) as oops from range(3)")

    (failure,) = workbench.run(bars, raise_on_error=False).get_step_failure_events()
    error = failure.step_failure_data.error
    assert error is not None
    assert error.cause is not None
    assert re.fullmatch(r"lake_assets\.spark\.errors\.EngineError: Spark: .*row 3.*\n", error.cause.message)


def test_an_input_that_was_never_materialized_is_named(workbench: Workbench) -> None:
    @asset(io_manager_key="parquet_io_manager")
    def bars() -> Any: ...

    with pytest.raises(Exception, match="bars is not in the lake: materialize it first"):
        workbench.run(bars, reading("pandas", []), selection=["reader"])
