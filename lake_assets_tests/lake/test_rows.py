"""Rows that DuckDB reads are the same, wherever their files lie."""

from collections.abc import Mapping
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from lake_assets.frames.hive_folders import folder
from lake_assets.lake.contract import Snapshot
from lake_assets.lake.rows import bounded_connection, open_rows

NOON = pyarrow.array([datetime(2020, 1, 1, 12, tzinfo=timezone.utc)], pyarrow.timestamp("us", "UTC"))
PARTITIONS: Mapping[str, Mapping[str, pyarrow.Table]] = {
    "odd names": {name: pyarrow.table({"v": [1]}) for name in ("a/b", "köln", "a b+c%41", "x=y", "it's")},
    "wider numbers": {
        "1": pyarrow.table({"v": pyarrow.array([1], pyarrow.int32())}),
        "2": pyarrow.table({"v": [1 << 40]}),
    },
    "decimals": {
        "1": pyarrow.table({"v": pyarrow.array([1], pyarrow.int32())}),
        "2": pyarrow.table({"v": [Decimal("1.25")]}),
    },
    "other order": {"1": pyarrow.table({"v": [1], "w": ["a"]}), "2": pyarrow.table({"w": ["b"], "v": [2]})},
    "moved fields": {
        "1": pyarrow.table({"v": [{"a": 1}], "w": [{"b": 2}]}),
        "2": pyarrow.table({"v": [{"b": 3}], "w": [{"a": 4}]}),
    },
    "units of time": {
        "1": pyarrow.table({"v": pyarrow.array([datetime(2020, 1, 1)], pyarrow.timestamp("ms"))}),
        "2": pyarrow.table({"v": pyarrow.array([datetime(2020, 1, 1)], pyarrow.timestamp("us"))}),
        "3": pyarrow.table({"v": NOON}),
    },
    "new columns": {"1": pyarrow.table({"v": [1]}), "2": pyarrow.table({"v": [2], "w": ["new"]})},
    "new fields": {"1": pyarrow.table({"v": [{"a": 1}]}), "2": pyarrow.table({"v": [{"a": 2, "b": "x"}]})},
    "instants": {"1": pyarrow.table({"v": NOON}), "2": pyarrow.table({"v": NOON, "w": [1]})},
}


def read(home: Path, partitions: Mapping[str, pyarrow.Table], *, is_local: bool = True) -> tuple[Any, list[str], Any]:
    """Write a file for each partition, and return what DuckDB reads: types, names and rows."""
    root, filesystem = (
        (str(home), LocalFileSystem()) if is_local else ("", SubTreeFileSystem(str(home), LocalFileSystem()))
    )
    files: list[str] = []
    for key, table in partitions.items():
        place = folder({"day": key})
        (home / place).mkdir(parents=True)
        pq.write_table(table, home / place / "a.parquet", use_deprecated_int96_timestamps=key == "1")
        files.append(f"{root}/{place}/a.parquet" if is_local else f"{place}/a.parquet")
    with bounded_connection() as connection:
        columns = open_rows(connection, "l", Snapshot(home.parent.name, "p", root, filesystem, root), files, ["day"])
        found = connection.execute("FROM l_files")
        return dict(columns), [column[0] for column in found.description], sorted(found.fetchall(), key=repr)


@pytest.mark.parametrize("partitions", PARTITIONS.values(), ids=PARTITIONS)
def test_files_on_no_local_disk_have_the_rows_that_local_ones_have(
    tmp_path: Path, partitions: Mapping[str, pyarrow.Table]
) -> None:
    expected = read(tmp_path / "plain", partitions)
    assert read(tmp_path / "remote", partitions, is_local=False) == expected


@pytest.mark.parametrize("partitions", PARTITIONS.values(), ids=PARTITIONS)
def test_a_lake_below_a_folder_that_looks_like_a_partition_has_the_same_rows(
    tmp_path: Path, partitions: Mapping[str, pyarrow.Table]
) -> None:
    expected = read(tmp_path / "plain", partitions)
    assert read(tmp_path / "env=prod" / "day=evil" / "v=9", partitions) == expected


@pytest.mark.parametrize(
    ("second", "united"), [({"w": ["b"], "v": [2]}, False), ({"v": [2]}, True), ({"v": [2], "w": [1]}, True)]
)
def test_columns_are_united_only_where_files_differ(tmp_path: Path, second: dict[str, Any], united: bool) -> None:
    """To unite them, DuckDB opens all files each time that it looks at a query."""
    tables = [pyarrow.table({"v": [1], "w": ["a"]}), pyarrow.table(second)]
    files = [str(tmp_path / f"{at}.parquet") for at in range(2)]
    for file, table in zip(files, tables, strict=True):
        pq.write_table(table, file)
    with bounded_connection() as connection:
        open_rows(connection, "l", Snapshot("c", "", "", LocalFileSystem(), str(tmp_path)), files)
        ((text,),) = connection.execute("SELECT sql FROM duckdb_views() WHERE view_name = 'l_files'").fetchall()
    assert ("union_by_name = true" in text.lower()) == united
