"""Every frame library that is not Spark: written and read by each IO manager, in bounded memory where it says so."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas
import pyarrow as pa
import pyspark.sql
import pytest
from dagster import AssetsDefinition, DailyPartitionsDefinition, asset
from pyarrow.fs import LocalFileSystem

from lake_assets.frames.parquet_writing import ParquetTarget, write_rows
from lake_assets.frames.registry import LIBRARIES as REGISTERED
from lake_assets.frames.registry import supported
from lake_assets.frames.rows import StreamRows
from lake_assets.io_managers.parquet import ParquetIOManager
from lake_assets.resources.lake import EmbeddedLake
from lake_assets_tests.io_managers.conftest import Workbench
from lake_assets_tests.io_managers.libraries import EACH_WITHOUT_SPARK, LIBRARIES, NO_POLARS, WITHOUT_SPARK

MANAGERS = ("parquet_io_manager", "lake_file_io_manager", "nosql_io_manager")
ROWS = pa.table({"ISIN": ["CH0011075394", "DE0007164600"], "Price": [2.5, None], "Trades": [4, 3]})
DAYS = DailyPartitionsDefinition(start_date="2017-07-27", end_date="2017-07-31")
RANGE = {"dagster/asset_partition_range_start": "2017-07-27", "dagster/asset_partition_range_end": "2017-07-29"}


def bars(value: Any, manager: str = "parquet_io_manager", **options: Any) -> Any:
    """Return an asset that returns a value, or what a function returns."""

    @asset(io_manager_key=manager, metadata={"nosql/key": "ISIN", "nosql/mode": "overwrite"}, **options)
    def bars() -> Any:
        return value() if callable(value) else value

    return bars


def reading(name: str, seen: list[pa.Table], **options: Any) -> AssetsDefinition:
    """Return an asset that reads `bars` as a library's frame."""
    library = LIBRARIES[name]

    def reader(bars: Any) -> None:
        assert isinstance(bars, library.annotation)
        seen.append(library.rows(bars))

    reader.__annotations__["bars"] = library.annotation
    return asset(name=f"by_{name.replace('.', '_')}", **options)(reader)


def annotated(function: Any, annotation: type) -> AssetsDefinition:
    function.__annotations__["bars"] = annotation
    return asset(function)


@pytest.mark.skipif("polars.DataFrame" not in LIBRARIES, reason=NO_POLARS)
def test_the_libraries_of_the_tests_are_those_of_the_registry() -> None:
    # Frames of pandas on Spark are stored by Spark's library. spark/test_pandas_on_spark.py covers them.
    registered = [library for library in REGISTERED if library.module != "pyspark.pandas"]
    assert {library.frame_class for library in registered} == {library.annotation for library in LIBRARIES.values()}


def test_no_library_is_imported_before_somebody_uses_it() -> None:
    code = (
        "import sys, lake_assets.frames.registry as registry; registry.library_of_value(1); "
        "registry.library_of_annotation(int); "
        "print([name for name in ('pandas', 'polars', 'pyarrow', 'pyspark') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("manager", MANAGERS)
@pytest.mark.parametrize("writer", EACH_WITHOUT_SPARK)
def test_what_one_library_wrote_every_other_reads(workbench: Workbench, manager: str, writer: str) -> None:
    seen: list[pa.Table] = []
    readers = [reading(name, seen) for name in WITHOUT_SPARK]
    assert workbench.run(bars(lambda: LIBRARIES[writer].make(ROWS), manager), *readers).success
    assert [rows.sort_by("ISIN").to_pydict() for rows in seen] == [ROWS.to_pydict()] * len(readers)


@pytest.mark.parametrize("manager", MANAGERS)
@pytest.mark.parametrize("name", EACH_WITHOUT_SPARK)
def test_a_frame_without_rows_keeps_its_columns(workbench: Workbench, manager: str, name: str) -> None:
    seen: list[pa.Table] = []
    assert workbench.run(bars(lambda: LIBRARIES[name].make(ROWS.slice(0, 0)), manager), reading(name, seen)).success
    assert (seen[0].num_rows, seen[0].column_names) == (0, ROWS.column_names)


@pytest.mark.parametrize("manager", MANAGERS[:2])
def test_the_same_rows_have_the_same_version_whichever_library_wrote_them(workbench: Workbench, manager: str) -> None:
    heads: set[str] = set()
    for name in WITHOUT_SPARK:
        workbench.publish(workbench.run(bars(lambda name=name: LIBRARIES[name].make(ROWS), manager)))
        heads.add(workbench.lake.head("main").id)
    assert len(heads) == 1


@pytest.mark.parametrize("manager", MANAGERS[:2])
@pytest.mark.parametrize("name", EACH_WITHOUT_SPARK)
def test_one_frame_over_several_partitions_is_taken_apart_and_put_together(
    workbench: Workbench, manager: str, name: str
) -> None:
    rows = pa.table({"number": [1, 2, 3], "day": ["2017-07-29", "2017-07-27", "2017-07-29"]})
    seen: list[pa.Table] = []
    made = bars(lambda: LIBRARIES[name].make(rows), manager, partitions_def=DAYS)
    assert workbench.run(made, reading(name, seen, partitions_def=DAYS), tags=RANGE).success
    assert seen[0].sort_by("number").to_pydict() == rows.to_pydict()


@pytest.mark.parametrize("name", EACH_WITHOUT_SPARK)
def test_rows_of_another_partition_are_refused(workbench: Workbench, name: str) -> None:
    rows = pa.table({"number": [1, 2], "day": ["2017-07-27", "2017-07-30"]})
    made = bars(lambda: LIBRARIES[name].make(rows), partitions_def=DAYS)
    with pytest.raises(ValueError, match="1 of 2 rows belong to none of the partitions"):
        workbench.run(made, tags=RANGE)


@pytest.mark.parametrize("manager", MANAGERS)
def test_errors_list_every_library(workbench: Workbench, manager: str) -> None:
    assert all(name in supported() for name in WITHOUT_SPARK)
    with pytest.raises(TypeError) as wrong_value:
        workbench.run(bars({"not": "a frame"}, manager))

    def reader(bars: list[int]) -> None: ...

    reader.__annotations__["bars"] = list
    with pytest.raises(TypeError) as wrong_annotation:
        workbench.run(bars(ROWS, manager), asset(reader))
    assert supported() in str(wrong_value.value)
    assert supported() in str(wrong_annotation.value)


def test_a_spark_frame_where_there_is_no_spark_is_one_clear_error(workbench: Workbench, tmp_path: Path) -> None:
    lake = EmbeddedLake(home=str(tmp_path / "home"))
    workbench.resources = {"parquet_io_manager": ParquetIOManager(lake=lake), "lake": lake}

    def reader(bars: Any) -> None: ...

    reader.__annotations__["bars"] = pyspark.sql.DataFrame
    with pytest.raises(RuntimeError, match=r"^the asset needs Spark, but its IO manager has no Spark resource: add"):
        workbench.run(bars(ROWS), asset(reader))


def test_a_table_of_runs_is_stored_as_its_values(workbench: Workbench) -> None:
    runs = pa.RunEndEncodedArray.from_arrays([2, 3], pa.array(["a", None]), pa.run_end_encoded(pa.int32(), pa.string()))
    seen: list[pa.Table] = []
    workbench.run(bars(pa.table({"kept": runs})), reading("pyarrow.Table", seen))
    assert seen[0].to_pydict() == {"kept": ["a", "a", None]}


def test_a_stream_is_written_and_read_in_bounded_memory(workbench: Workbench) -> None:
    batch = pa.record_batch({"number": pa.array(range(1 << 17)), "text": pa.array(["x" * 40] * (1 << 17))})
    batches, before = 100, pa.total_allocated_bytes()
    most = 0

    def endless() -> Iterator[pa.RecordBatch]:
        nonlocal most
        for at in range(batches):
            most = max(most, pa.total_allocated_bytes() - before)
            yield pa.record_batch({"number": pa.array(range(at, at + (1 << 17))), "text": batch["text"].slice(0)})

    def reader(bars: Any) -> None:
        nonlocal most
        rows = 0
        for part in bars:
            rows += part.num_rows
            most = max(most, pa.total_allocated_bytes() - before)
        assert rows == batches * (1 << 17)

    stream = annotated(reader, pa.RecordBatchReader)
    assert workbench.run(bars(lambda: pa.RecordBatchReader.from_batches(batch.schema, endless())), stream).success
    assert batches * batch.nbytes > 600 << 20
    assert most < 250 << 20


def test_a_stream_over_many_partitions_holds_few_files_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lake_assets.frames.parquet_writing._MOST_OPEN", 3)
    partitions = {str(key): {"part": str(key)} for key in range(7)}
    rows = pa.table({"part": [str(key) for key in range(7)] * 2, "number": range(14)})
    tables = (rows.slice(at, 7) for at in (0, 7))
    monkeypatch.setattr("lake_assets.frames.rows.BLOCK_BYTES", 1)
    target = ParquetTarget(LocalFileSystem(), str(tmp_path), partitions)
    _, contents = write_rows(StreamRows(rows.schema, tables), target)
    assert {content.rows for content in contents.values()} == {2}
    assert len(list(tmp_path.glob("part=*/*.parquet"))) == 14
    assert pandas.read_parquet(tmp_path)["number"].sum() == sum(range(14))
