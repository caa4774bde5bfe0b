"""In Parquet a stored value comes back as the same value, whichever library wrote it and whichever reads it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pyspark.sql
import pytest
from dagster import AssetsDefinition, DailyPartitionsDefinition, asset
from pyarrow.fs import LocalFileSystem

from lake_assets.cli import content
from lake_assets.frames.pandas import to_arrow, to_pandas
from lake_assets.frames.parquet import FolderPlace, ParquetRows, find_folders
from lake_assets.frames.spark_batches import arrow_schema
from lake_assets.frames.spark_reading import read_spark
from lake_assets.frames.stored_types import RefusedColumn, stored_schema
from lake_assets_tests.io_managers.conftest import Workbench
from lake_assets_tests.io_managers.typed_values import NAMES, VALUES, pandas_frame, spark_frame, spelt, table

WRITERS = ("pandas", "spark")
READERS = ("pandas", "spark", "pyarrow", "duckdb", "cat")
COLUMNS = [values.name for values in VALUES] + NAMES
FS = LocalFileSystem()

pytestmark = pytest.mark.usefixtures("spark")


@dataclass(frozen=True)
class Stored:
    """What one library stored: where it lies, and its version."""

    root: str
    uri: str
    version: str
    cat: list[dict[str, Any]]


def _asset(name: str, frame: Any) -> AssetsDefinition:
    @asset(name=name, io_manager_key="parquet_io_manager")
    def stored() -> Any:
        return frame

    return stored


def _frame(spark: Any, engine: str, rows: pa.Table) -> Any:
    return pandas_frame(rows) if engine == "pandas" else spark_frame(spark, rows)


@pytest.fixture(scope="module")
def stored(spark: Any, module_workbench: Workbench) -> dict[str, Stored]:
    """The table of all types, as each library wrote it by the IO manager."""
    found: dict[str, Stored] = {}
    for writer in WRITERS:
        wide = _asset(f"by_{writer}", _frame(spark, writer, table()))
        result = module_workbench.run(wide)
        branch = module_workbench.branch(result)
        snapshot = module_workbench.lake.path(branch, f"by_{writer}")
        version = result.get_asset_materialization_events()[0].step_materialization_data.materialization.tags
        rows = list(content.open_content(module_workbench.lake, branch, f"by_{writer}").rows(None))
        assert version is not None
        found[writer] = Stored(snapshot.root, snapshot.uri, version["dagster/data_version"], rows)
    return found


@pytest.fixture(scope="module")
def read(spark: Any, stored: dict[str, Stored]) -> dict[tuple[str, str], pa.Table]:
    """What each reader reads of what each writer wrote."""
    found: dict[tuple[str, str], pa.Table] = {}
    for writer, place in stored.items():
        (folder,) = find_folders(FS, [FolderPlace(place.root, place.uri, {})])
        found[writer, "pandas"] = to_arrow(to_pandas(ParquetRows(FS, [folder], None).table()))
        found[writer, "spark"] = read_spark(spark, [folder], None).toArrow()
        found[writer, "pyarrow"] = pq.read_table(place.root, filesystem=FS)
        with duckdb.connect() as connection:
            # In the machine's zone, the first and the last time of UTC may be none of Python's.
            connection.execute("SET TimeZone = 'UTC'")
            found[writer, "duckdb"] = connection.read_parquet(f"{place.root}/*.parquet").to_arrow_table()
        columns = {name: [row[name] for row in place.cat] for name in table().schema.names}
        found[writer, "cat"] = pa.table(
            [pa.array(columns[field.name], field.type) for field in table().schema], COLUMNS
        )
    return found


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("reader", READERS)
def test_every_type_and_every_name_comes_back(read: dict[tuple[str, str], pa.Table], writer: str, reader: str) -> None:
    rows, wanted = read[writer, reader], table()
    assert rows.schema.names == wanted.schema.names
    different = [name for name in COLUMNS if spelt(rows[name]) != spelt(wanted[name])]
    assert different == []


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("reader", ["pandas", "pyarrow"])
def test_types_come_back_as_they_are_stored(read: dict[tuple[str, str], pa.Table], writer: str, reader: str) -> None:
    assert stored_schema(read[writer, reader].schema).types == table().schema.types


@pytest.mark.parametrize("writer", WRITERS)
def test_spark_sees_the_same_types_but_for_nulls_inside_others(
    read: dict[tuple[str, str], pa.Table], writer: str
) -> None:
    seen = stored_schema(read[writer, "spark"].schema)
    inside = ["list of nulls", "struct with a null"]
    assert [name for name in COLUMNS if seen.field(name).type != table().schema.field(name).type] == inside


def test_the_same_rows_have_one_version_whoever_wrote_them(stored: dict[str, Stored]) -> None:
    assert stored["pandas"].version == stored["spark"].version


def test_a_session_that_is_somebody_elses_writes_no_int96(spark: Any, workbench: Workbench) -> None:
    spark.conf.set("spark.sql.parquet.outputTimestampType", "INT96")
    try:

        @asset(io_manager_key="parquet_io_manager")
        def late() -> Any:
            return spark.sql("select timestamp'9999-12-31 23:59:59' as t")

        result = workbench.run(late)
        assert spark.conf.get("spark.sql.parquet.outputTimestampType") == "INT96"
    finally:
        spark.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
    snapshot = workbench.lake.path(workbench.branch(result), "late")
    assert pq.read_table(snapshot.root, filesystem=FS)["t"].type == pa.timestamp("us", "UTC")


def test_int96_of_an_older_lake_reads_right_in_every_engine(spark: Any, workbench: Workbench, tmp_path: Path) -> None:
    moments = [datetime(9999, 12, 31, 23, 59, 59, 999999), datetime(1, 1, 2), datetime(2017, 7, 28, 8), None]
    spark.conf.set("spark.sql.parquet.outputTimestampType", "INT96")
    try:
        frame = spark_frame(spark, pa.table({"t": pa.array(moments, pa.timestamp("us", "UTC"))}))
        frame.selectExpr("t", "array(t) as l", "named_struct('t', t) as s").coalesce(1).write.parquet(
            str(tmp_path / "p")
        )
    finally:
        spark.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
    workbench.lake.create_branch("old", "main")
    with workbench.lake.write("old", "old") as write:
        (file,) = (tmp_path / "p").glob("*.parquet")
        file.rename(Path(write.root, "part-0.parquet"))
    snapshot = workbench.lake.path("old", "old")
    wanted = pa.array(moments, pa.timestamp("us", "UTC"))
    (folder,) = find_folders(FS, [FolderPlace(snapshot.root, snapshot.uri, {})])
    by_pandas = to_pandas(ParquetRows(FS, [folder], None).table())
    assert by_pandas.dtypes["t"] == pandas.ArrowDtype(pa.timestamp("us", "UTC"))
    for rows in (to_arrow(by_pandas), read_spark(spark, [folder], None).toArrow()):
        assert spelt(rows["t"]) == spelt(wanted)
        assert spelt(rows["l"]) == spelt(pa.array([[moment] for moment in wanted.to_pylist()]))
        assert spelt(rows["s"]) == spelt(pa.array([{"t": moment} for moment in wanted.to_pylist()]))
    seen = [row["t"] for row in content.open_content(workbench.lake, "old", "old").rows(None)]
    assert seen == wanted.to_pylist()


# What pandas has


def _stored(**columns: Any) -> pa.Table:
    return to_arrow(pandas.DataFrame(columns))


def test_pandas_own_columns_are_stored_as_what_they_mean() -> None:
    berlin = pandas.to_datetime(["2017-07-28 08:00"]).tz_localize("Europe/Berlin")
    stored = _stored(
        ints=numpy.array([1], "int32"),
        floats=numpy.array([0.5], "float32"),
        flags=[True],
        texts=["a"],
        wide=pandas.array([2**53 + 1], "Int64"),
        day=[date(2017, 7, 28)],
        naive=pandas.to_datetime(["2017-07-28 08:00"]),
        zoned=berlin,
        kind=pandas.Categorical(["x"]),
        money=[Decimal("1.50")],
        raw=[b"\x00"],
        numbers=[[1, 2]],
        array=[numpy.array([1.5])],
        record=[{"a": 1}],
        small=numpy.array([255], "uint8"),
        unsigned=numpy.array([2**63 - 1], "uint64"),
        sparse=pandas.arrays.SparseArray([0]),
        half=numpy.array([1.5], "float16"),
    )
    assert {field.name: str(field.type) for field in stored.schema} == {
        "ints": "int32",
        "floats": "float",
        "flags": "bool",
        "texts": "string",
        "wide": "int64",
        "day": "date32[day]",
        "naive": "timestamp[us]",
        "zoned": "timestamp[us, tz=UTC]",
        "kind": "string",
        "money": "decimal128(3, 2)",
        "raw": "binary",
        "numbers": "list<item: int64>",
        "array": "list<item: double>",
        "record": "struct<a: int64>",
        "small": "int16",
        "unsigned": "int64",
        "sparse": "int64",
        "half": "float",
    }
    assert stored.to_pylist()[0]["zoned"] == datetime(2017, 7, 28, 6, tzinfo=timezone.utc)


def test_integers_beside_nulls_stay_integers() -> None:
    back = to_pandas(
        _stored(n=pandas.array([2**53 + 1, None], "Int64"), o=pandas.Series([2**53 + 1, None], dtype=object))
    )
    assert [str(kind) for kind in back.dtypes] == ["int64[pyarrow]", "int64[pyarrow]"]
    assert back.n[0] == back.o[0] == 2**53 + 1
    assert back.n.isna().tolist() == back.o.isna().tolist() == [False, True]


def test_the_class_of_a_column_does_not_depend_on_its_data() -> None:
    kinds = [to_pandas(rows).dtypes.tolist() for rows in (table(), table().slice(0, 1), table().slice(0, 0))]
    assert kinds[0] == kinds[1] == kinds[2] == [pandas.ArrowDtype(kind) for kind in table().schema.types]


def test_nan_of_a_numpy_column_is_null_and_that_of_arrow_is_nan() -> None:
    arrow = pandas.Series(pa.array([math.nan, None]), dtype=pandas.ArrowDtype(pa.float64()))
    stored = _stored(numpy=[math.nan, 1.0], arrow=arrow)
    assert stored["numpy"].to_pylist() == [None, 1.0]
    assert spelt(stored["arrow"]) == "[nan, None]"


REFUSED_IN_PANDAS: dict[str, tuple[Any, str]] = {
    "unsigned": (numpy.array([2**63], "uint64"), "beyond the range of int64"),
    "nanoseconds": (pandas.to_datetime(["2017-07-28 08:00:00.000000001"]), "below the microsecond"),
    "time": ([datetime(2017, 7, 28, 8).time()], "time of day"),
    "interval": ([timedelta(1)], "interval"),
    "period": (pandas.period_range("2017", periods=1), "store it as text"),
    "objects": ([object()], "no common type"),
    "big": ([2**70], "no common type"),
    "complex": ([1j], "no common type"),
    "digits": ([Decimal("9" * 30 + "." + "9" * 30)], "38 digits"),
    "text and bytes": (["a", b"b"], "several types"),
    "text and number": (["a", 1], "several types"),
    "day and moment": ([date(2017, 7, 28), datetime(2017, 7, 28, 8)], "several types"),
    "zones": ([datetime(2017, 7, 28), datetime(2017, 7, 28, tzinfo=timezone.utc)], "several types"),
    "empty structs": ([{}], "struct without fields"),
    "moment in nanoseconds": ([pandas.Timestamp("2017-07-28 08:00:00.000000001")], "below the microsecond"),
    "listed moment": ([[pandas.Timestamp("2017-07-28 08:00:00.000000001")]], "below the microsecond"),
    "listed text and bytes": ([["a"], [b"b"]], "several types"),
    "listed day and moment": ([[date(2017, 7, 28), datetime(2017, 7, 28, 8)]], "several types"),
    "zones in a field": (
        [{"at": datetime(2017, 7, 28)}, {"at": datetime(2017, 7, 28, tzinfo=timezone.utc)}],
        "several types",
    ),
    "array in a field": ([{"a": numpy.array(["a", b"b"], object)}], "several types"),
}


@pytest.mark.parametrize("name", REFUSED_IN_PANDAS)
def test_what_pandas_cannot_store_is_refused_by_column_and_remedy(name: str) -> None:
    values, reason = REFUSED_IN_PANDAS[name]
    column = pandas.Series(list(values), dtype=object) if isinstance(values, list) else pandas.Series(values)
    with pytest.raises(RefusedColumn, match=rf"column '{name}' .*{reason}"):
        to_arrow(pandas.DataFrame({"fine": range(len(column)), name: column}))


BEYOND: dict[str, Any] = {
    "after": numpy.array(["10000-01-01"], "datetime64[s]"),
    "before": numpy.array(["0000-12-31"], "datetime64[us]"),
    "zone": pandas.Series(
        pa.array([2**60], pa.timestamp("us", "UTC")), dtype=pandas.ArrowDtype(pa.timestamp("us", "UTC"))
    ),
    "day": pandas.Series(pa.array([2932897], pa.date32()), dtype=pandas.ArrowDtype(pa.date32())),
    "listed": pandas.Series(
        pa.array([[2932897]], pa.list_(pa.date32())), dtype=pandas.ArrowDtype(pa.list_(pa.date32()))
    ),
}


@pytest.mark.parametrize("storage", ["parquet", "lake_file"])
def test_years_that_python_does_not_have_are_refused_by_column(spark: Any, workbench: Workbench, storage: str) -> None:
    frames = [
        pandas.DataFrame({name: values}) for name, values in BEYOND.items() if storage == "parquet" or name != "listed"
    ]
    expressions = ["timestamp_micros(253402300800000000)", "date '9999-12-31' + interval 1 day"]
    if storage == "parquet":
        expressions.append("array(named_struct('a', timestamp_micros(-62135596800000001)))")
    frames += [spark.sql(f"select {expression} as beyond") for expression in expressions]
    for frame in frames:

        @asset(name="bars", io_manager_key=f"{storage}_io_manager")
        def bars() -> Any:
            return frame  # noqa: B023 - run at once

        with pytest.raises(
            RefusedColumn, match=f"column '{frame.columns[0]}' has a time before the year 1 or after 9999"
        ):
            workbench.run(bars)


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("interval '1' day", "interval"),
        ("interval '1' month", "interval|no type in the lake"),
        ("make_interval(1)", "interval"),
        ("parse_json('1')", "no type in the lake"),
        ("named_struct('a', 1, 'a', 2)", "occurs twice|no type in the lake"),
    ],
)
def test_what_spark_cannot_store_is_refused_by_column(spark: Any, expression: str, reason: str) -> None:
    with pytest.raises(RefusedColumn, match=rf"column 'c' .*({reason})"):
        arrow_schema(spark.sql(f"select 1 as fine, {expression} as c"))


def test_names_that_are_one_to_an_engine_are_refused(spark: Any) -> None:
    for frame in (pandas.DataFrame([[1, 2]], columns=pandas.Index(["a", "a"])), pandas.DataFrame({"a": [1], "A": [2]})):
        with pytest.raises(RefusedColumn, match=r"column 'a' (occurs twice|and 'A' differ in case only)"):
            to_arrow(frame)
    with pytest.raises(RefusedColumn, match="column 'a' occurs twice"):
        arrow_schema(spark.sql("select 1 as a, 2 as a"))


def test_a_named_index_is_stored_as_columns() -> None:
    frame = pandas.DataFrame({"day": ["mon", "mon"], "name": ["x", "y"], "price": [1.0, 2.0]})
    assert to_arrow(pandas.DataFrame(frame.groupby("name").sum(numeric_only=True))).to_pydict() == {
        "name": ["x", "y"],
        "price": [1.0, 2.0],
    }
    both = pandas.DataFrame(frame.groupby(["day", "name"]).sum())
    assert to_arrow(both).to_pydict() == {"day": ["mon", "mon"], "name": ["x", "y"], "price": [1.0, 2.0]}
    with pytest.raises(RefusedColumn, match=r"'name' is also the name of an index: .*reset_index"):
        to_arrow(frame.set_index(pandas.Index(frame["name"])))


def test_an_index_without_a_name_is_data_unless_it_numbers_rows() -> None:
    frame = pandas.DataFrame({"price": [1.0, 2.0, 3.0]})
    assert to_arrow(frame.loc[frame.price > 1]).to_pydict() == {"price": [2.0, 3.0]}
    assert to_arrow(frame.set_index(pandas.Index(["a", "b", "c"]))).column_names == ["index", "price"]
    levels = frame.set_index([pandas.Index(["a", "b", "c"]), pandas.Index([1, 2, 3], name="n")])
    assert to_arrow(levels).column_names == ["level_0", "n", "price"]
    assert to_arrow(pandas.DataFrame({"price": pandas.Series(dtype=float)})).column_names == ["price"]
    assert to_arrow(pandas.DataFrame(index=pandas.Index(["a", "b"]))).to_pydict() == {"index": ["a", "b"]}
    days = frame.set_index(pandas.date_range("2017-07-28", periods=3))
    assert to_arrow(days.head(0)).schema == to_arrow(days).schema


def test_rows_without_a_column_are_refused() -> None:
    with pytest.raises(RefusedColumn, match="rows but no column"):
        to_arrow(pandas.DataFrame(index=range(3)))


def test_columns_named_by_numbers_are_named_by_their_digits() -> None:
    assert to_arrow(pandas.DataFrame([[1, 2]])).column_names == ["0", "1"]
    with pytest.raises(RefusedColumn, match="has a tuple as its name: use a text"):
        to_arrow(pandas.DataFrame({("a", "b"): [1]}))


# Partitions

DAYS = DailyPartitionsDefinition(start_date="2017-07-27", end_date="2017-07-31")
RANGE = {"dagster/asset_partition_range_start": "2017-07-27", "dagster/asset_partition_range_end": "2017-07-28"}


def _reader(engine: str, seen: list[pa.Table], **options: Any) -> AssetsDefinition:
    def reader(bars: Any) -> None:
        seen.append(to_arrow(bars) if engine == "pandas" else stored_rows(bars))

    reader.__annotations__["bars"] = pandas.DataFrame if engine == "pandas" else pyspark.sql.DataFrame
    return asset(name="reader", **options)(reader)


def stored_rows(frame: Any) -> pa.Table:
    rows = frame.toArrow()
    return rows.cast(stored_schema(rows.schema))


def _bars(rows: Any) -> AssetsDefinition:
    @asset(io_manager_key="parquet_io_manager", partitions_def=DAYS)
    def bars() -> Any:
        return rows()

    return bars


@pytest.mark.parametrize("engine", WRITERS)
def test_partition_columns_are_always_there_as_text(spark: Any, workbench: Workbench, engine: str) -> None:
    rows = pa.table({"n": [1, 2], "day": ["2017-07-27", "2017-07-28"]})
    bars, seen = _bars(lambda: _frame(spark, engine, rows)), list[pa.Table]()
    reader = _reader(engine, seen, partitions_def=DAYS)
    workbench.run(bars, reader, tags=RANGE)
    one = _bars(lambda: _frame(spark, engine, rows.slice(1)))
    workbench.run(one, reader, partition_key="2017-07-28")
    assert [table.sort_by("n").to_pydict() for table in seen] == [rows.to_pydict(), rows.slice(1).to_pydict()]
    assert seen[0].schema.types == seen[1].schema.types == [pa.int64(), pa.string()]


@pytest.mark.parametrize("engine", WRITERS)
@pytest.mark.parametrize(
    "day", [["2017-07-28"], [date(2017, 7, 28)], [datetime(2017, 7, 28)]], ids=["text", "date", "midnight"]
)
def test_a_frames_own_partition_column_may_say_what_the_folder_says(
    spark: Any, workbench: Workbench, engine: str, day: list[Any]
) -> None:
    bars = _bars(lambda: _frame(spark, engine, pa.table({"n": [1], "day": day})))
    result = workbench.run(bars, partition_key="2017-07-28")
    (file,) = [item for item in workbench.lake.list(workbench.branch(result), "bars") if item.path.endswith(".parquet")]
    assert file.path.startswith("bars/day=2017-07-28/")


@pytest.mark.parametrize("engine", WRITERS)
@pytest.mark.parametrize("day", [["2017-07-27"], pa.array([None], pa.string()), [28], [datetime(2017, 7, 28, 8)]])
def test_a_frames_own_partition_column_may_say_nothing_else(
    spark: Any, workbench: Workbench, engine: str, day: Any
) -> None:
    bars = _bars(lambda: _frame(spark, engine, pa.table({"n": [1], "day": day})))
    with pytest.raises(Exception, match=r"1 of 1 rows belong to none of the partitions .*'day=2017-07-28'"):
        workbench.run(bars, partition_key="2017-07-28")
    other = _bars(lambda: _frame(spark, engine, pa.table({"n": [1], "Day": day})))
    with pytest.raises(Exception, match="column 'Day' and the partition column 'day' differ in case only"):
        workbench.run(other, partition_key="2017-07-28")


# Partitions that differ


def _days(frames: dict[str, Any]) -> AssetsDefinition:
    @asset(name="bars", io_manager_key="parquet_io_manager", partitions_def=DAYS)
    def bars(context) -> Any:  # pyright: ignore[reportMissingParameterType]
        return frames[context.partition_key]

    return bars


def test_partitions_that_differ_are_read_by_name_and_widened_alike(spark: Any, workbench: Workbench) -> None:
    first = pa.table(
        {
            "n": pa.array([1], pa.int32()),
            "gone": ["x"],
            "none": pa.nulls(1),
            "price": pa.array([2], pa.int16()),
            "money": pa.array([Decimal("1.5")], pa.decimal128(3, 1)),
            "parts": [[{"a": 1}]],
        }
    )
    second = pa.table(
        {
            "new": [date(2017, 7, 28)],
            "parts": pa.array([[{"b": None, "a": 2}]], pa.list_(pa.struct([("b", pa.string()), ("a", pa.int64())]))),
            "n": [2**53 + 1],
            "none": ["now"],
            "price": [0.25],
            "money": pa.array([Decimal("100.25")], pa.decimal128(10, 2)),
        }
    )
    frames = {"2017-07-27": pandas_frame(first), "2017-07-28": spark_frame(spark, second)}
    for day in frames:
        workbench.publish(workbench.run(_days(frames), partition_key=day))
    seen: dict[str, pa.Table] = {}
    for engine in WRITERS:
        found: list[pa.Table] = []
        reader = _reader(engine, found, partitions_def=DAYS)
        workbench.run(_days(frames), reader, tags=RANGE, selection=["reader"])
        seen[engine] = found[0].sort_by("n")
    wanted = {
        "n": [1, 2**53 + 1],
        "gone": ["x", None],
        "none": [None, "now"],
        "price": [2.0, 0.25],
        "money": [Decimal("1.50"), Decimal("100.25")],
        "parts": [[{"a": 1, "b": None}], [{"a": 2, "b": None}]],
        "new": [None, date(2017, 7, 28)],
        "day": ["2017-07-27", "2017-07-28"],
    }
    assert [seen[engine].to_pydict() for engine in WRITERS] == [wanted, wanted]


@pytest.mark.parametrize("engine", WRITERS)
@pytest.mark.parametrize(
    ("values", "kind"), [([0.5], "double"), (["a"], "string"), ([date(2017, 7, 28)], "date32")], ids=str
)
def test_a_write_that_breaks_the_asset_is_refused(
    spark: Any, workbench: Workbench, engine: str, values: list[Any], kind: str
) -> None:
    frames = {
        "2017-07-27": pandas.DataFrame({"n": [1]}),
        "2017-07-28": _frame(spark, engine, pa.table({"n": values})),
    }
    workbench.publish(workbench.run(_days(frames), partition_key="2017-07-27"))
    with pytest.raises(
        Exception, match=rf"column 'n' is {kind}.* in bars/day=2017-07-28 and int64 in bars/day=2017-07-27"
    ):
        workbench.run(_days(frames), partition_key="2017-07-28")
    # Written anew together they may be anything.
    frames["2017-07-27"] = frames["2017-07-28"]
    workbench.run(_days(frames), partition_key="2017-07-27")
