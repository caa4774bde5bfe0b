"""Assets stored as ORC or CSV: the rows that were written come back, and their content version is Parquet's."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest
from dagster import AssetsDefinition, StaticPartitionsDefinition, asset
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.frames.csv import CsvRows
from lake_assets.frames.csv_columns import CsvSource
from lake_assets.frames.csv_writing import csv_columns
from lake_assets.frames.file_formats import format_of
from lake_assets.frames.parquet_writing import ParquetTarget, write_rows
from lake_assets.frames.rows import TableRows
from lake_assets.layout.manifest import read_manifest
from lake_assets_tests.depth import examples
from lake_assets_tests.io_managers.conftest import Workbench
from lake_assets_tests.io_managers.libraries import EACH_WITHOUT_SPARK, LIBRARIES
from lake_assets_tests.io_managers.typed_values import NAMES, VALUES, spelt, table

FORMATS = ("orc", "csv")
DAYS = StaticPartitionsDefinition(["mon", "tue"])
BOTH = {"dagster/asset_partition_range_start": "mon", "dagster/asset_partition_range_end": "tue"}
BEYOND_NANOSECONDS = {"timestamp without zone", "timestamp with zone", "struct"}
HELD = {
    "orc": [one.name for one in VALUES if "null" not in str(one.kind) and one.name not in BEYOND_NANOSECONDS],
    "csv": [one.name for one in VALUES if not pa.types.is_nested(one.kind) and not pa.types.is_binary(one.kind)],
}
BOTH_EMPTY = {"text": ["", None, '""', "a", "null", '"'], "n": [1, None, 3, 4, 5, 6]}


def stored(rows: Any, file_format: str, name: str = "prices", **options: Any) -> Any:
    metadata = {"format": file_format}
    decorate: Any = asset(name=name, io_manager_key="parquet_io_manager", metadata=metadata, **options)
    return decorate(lambda: rows)


def reader(library: str, seen: list[pa.Table], **options: Any) -> AssetsDefinition:
    def read(prices: Any) -> None:
        seen.append(LIBRARIES[library].rows(prices))

    read.__annotations__["prices"] = LIBRARIES[library].annotation
    return asset(name="reader", **options)(read)


def version(result: Any, name: str = "prices") -> str:
    (event,) = result.asset_materializations_for_node(name)
    return event.tags["dagster/data_version"]


@pytest.mark.parametrize("library", EACH_WITHOUT_SPARK)
@pytest.mark.parametrize("file_format", FORMATS)
def test_every_type_that_a_format_holds_comes_back(workbench: Workbench, library: str, file_format: str) -> None:
    wanted = table().select([*HELD[file_format], *NAMES])
    seen: list[pa.Table] = []
    result = workbench.run(stored(LIBRARIES[library].make(wanted), file_format), reader(library, seen))
    (rows,) = seen
    assert rows.schema.names == wanted.schema.names
    assert [name for name in wanted.schema.names if spelt(rows[name]) != spelt(wanted[name])] == []
    as_parquet = workbench.run(stored(LIBRARIES[library].make(wanted), "parquet", "other"))
    assert version(result) == version(as_parquet, "other")
    paths = [item.path for item in workbench.lake.list(workbench.branch(result), "prices")]
    assert [path for path in paths if not path.endswith("_manifest.json")] == [f"prices/part-00000.{file_format}"]


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("names", [["text", "n"], ["text"], ["n"]], ids=str)
def test_null_and_the_empty_text_differ(workbench: Workbench, file_format: str, names: list[str]) -> None:
    rows = pa.table(BOTH_EMPTY).select(names)
    seen: list[pa.Table] = []
    workbench.run(stored(rows, file_format), reader("pyarrow.Table", seen))
    assert seen[0].to_pydict() == rows.to_pydict()


@pytest.mark.parametrize(
    ("file_format", "values", "reason"),
    [
        ("csv", pa.array([[1], None]), "is nested, which CSV cannot hold: use the format parquet"),
        ("csv", pa.array([b"a", None]), "is binary, which CSV cannot hold: use the format parquet"),
        ("orc", pa.nulls(2), "has the type null, which ORC cannot hold: cast it, or use the format parquet"),
        ("orc", pa.array([datetime(9999, 1, 1), None]), "after 2262-04-11, which readers of ORC do not hold"),
        ("orc", pa.array([[datetime(1, 1, 1)], None]), "before 1677-09-21"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_by_column(
    workbench: Workbench, file_format: str, values: pa.Array, reason: str
) -> None:
    with pytest.raises(Exception, match=rf"column 'c' .*{reason}"):
        workbench.run(stored(pa.table({"n": [1, 2], "c": values}), file_format))


@pytest.mark.parametrize("file_format", FORMATS)
def test_the_same_rows_again_make_no_commit_and_no_rows_keep_their_columns(
    workbench: Workbench, file_format: str
) -> None:
    rows = pa.table(BOTH_EMPTY)
    workbench.publish(workbench.run(stored(rows, file_format)))
    head = workbench.lake.head("main").id
    same = workbench.run(stored(rows.take([3, 1, 2, 0, 5, 4]), file_format))
    assert workbench.lake.head(workbench.branch(same)).id == head
    seen: list[pa.Table] = []
    workbench.run(stored(rows.slice(0, 0), file_format), reader("pyarrow.Table", seen))
    assert seen[0].schema == rows.schema
    assert seen[0].num_rows == 0


@pytest.mark.parametrize("file_format", FORMATS)
def test_partitions_are_read_together_by_name_and_widened(workbench: Workbench, file_format: str) -> None:
    monday = pa.table({"n": pa.array([1, None], pa.int32()), "text": ["", None]})
    tuesday = pa.table({"text": ["x"], "n": [2**40], "new": [0.5]})
    for day, rows in (("mon", monday), ("tue", tuesday)):
        workbench.publish(workbench.run(stored(rows, file_format, partitions_def=DAYS), partition_key=day))
    seen: list[pa.Table] = []
    graph = stored(monday, file_format, partitions_def=DAYS), reader("pyarrow.Table", seen, partitions_def=DAYS)
    workbench.run(*graph, tags=BOTH, selection=["reader"])
    assert seen[0].sort_by("n").select(["n", "text", "new", "partition"]).to_pydict() == {
        "n": [1, 2**40, None],
        "text": ["", "x", None],
        "new": [None, 0.5, None],
        "partition": ["mon", "tue", "mon"],
    }
    text = pa.table({"n": ["a"]})
    with pytest.raises(Exception, match=r"column 'n' is string .* and int32 in prices/partition=mon"):
        workbench.run(stored(text, file_format, partitions_def=DAYS), partition_key="tue")
    with pytest.raises(Exception, match=rf"is stored as {file_format}, and this write as parquet"):
        workbench.run(stored(monday, "parquet", partitions_def=DAYS), partition_key="tue")
    together = pa.table({"n": [1, 2], "partition": ["tue", "mon"]})
    result = workbench.run(stored(together, file_format, partitions_def=DAYS), tags=BOTH)
    manifest = read_manifest(workbench.lake.path(workbench.branch(result), "prices/partition=tue"))
    assert (manifest.rows, list(manifest.files)) == (1, [f"part-00000.{file_format}"])


def test_an_unknown_format_is_refused(workbench: Workbench) -> None:
    with pytest.raises(Exception, match="ask for the format 'avro': there are parquet, orc, csv"):
        workbench.run(stored(pa.table({"n": [1]}), "avro"))


@pytest.mark.parametrize("file_format", FORMATS)
def test_sql_and_profiles_read_them(workbench: Workbench, file_format: str) -> None:
    pytest.importorskip("duckdb", minversion="2.0")
    from lake_assets.layout.asset_folders import folder_of
    from lake_assets.quality.lake_profiles import profile_at
    from lake_assets.sql.catalog import LakeCatalog
    from lake_assets.sql.engine import run_query

    given = stored(pa.table({**BOTH_EMPTY, "partition": ["mon", "tue"] * 3}), file_format, partitions_def=DAYS)
    workbench.publish(workbench.run(given, tags=BOTH))
    catalog = LakeCatalog(lake=workbench.lake, ref="main", folder_of=folder_of)
    query = "SELECT text, n, partition FROM prices ORDER BY n NULLS FIRST"
    with run_query(query, catalog) as result:
        found = pa.Table.from_batches(list(result), result.schema)
    assert found["text"].to_pylist() == [None, "", '""', "a", "null", '"']
    assert found["partition"].to_pylist() == ["tue", "mon", "mon", "tue", "mon", "tue"]
    profile = profile_at(workbench.lake, "main", "prices")
    column = profile.columns["text"]
    assert (column.nulls, column.empty, profile.columns["n"].max) == (1, 1, 6)


@given(
    st.lists(
        st.tuples(
            st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
            st.none() | st.floats(),
            st.none() | st.datetimes(),
        ),
        max_size=12,
    )
)
@settings(max_examples=examples(60))
def test_csv_holds_any_text_float_and_time(tmp_path: Any, rows: list[tuple[Any, ...]]) -> None:
    from pyarrow.fs import LocalFileSystem

    columns: Any = list(zip(*rows, strict=True)) or [[], [], []]
    kinds = {"t": pa.string(), "f": pa.float64(), "at": pa.timestamp("us")}
    every = pa.table({name: pa.array(list(values), kinds[name]) for name, values in zip(kinds, columns, strict=True)})
    for wanted in (every, every.select(["t"])):
        write_rows(TableRows(wanted), ParquetTarget(LocalFileSystem(), str(tmp_path), None, "csv"))
        source = CsvSource("rows.csv", str(tmp_path / "part-00000.csv"), "", csv_columns(wanted.schema), {})
        read = CsvRows(LocalFileSystem(), [source]).table()
        assert read.schema == wanted.schema
        assert [spelt(read[name]) for name in read.schema.names] == [spelt(wanted[name]) for name in read.schema.names]


@pytest.mark.parametrize("name", ["csv", "orc", "parquet", "", ".csv", "_a.orc", ".a.parquet", "a.txt", "a."])
def test_a_file_whose_name_has_no_such_ending_or_is_hidden_holds_no_rows(name: str) -> None:
    assert format_of(name) is None
