"""A raw file's name: each comes back, from Spark too, or is refused in one line."""

from __future__ import annotations

import hashlib
import unicodedata
from pathlib import Path
from typing import Any

import pyspark.sql
import pytest
from dagster import AssetsDefinition, MaterializeResult, StaticPartitionsDefinition, asset

from lake_assets.io_managers.raw_file import RawFile, StoredFile
from lake_assets.lake.errors import InvalidName
from lake_assets_tests.io_managers.conftest import Workbench

NAMES = [
    *(
        "log_08:00.csv",
        "[1].csv",
        "a{b,c}.csv",
        "st*r?.csv",
        "sp ace.csv",
        "%20.csv",
        "a#b.csv",
        "Köln.csv",
        "東京🙂.csv",
    ),
    *(unicodedata.normalize("NFD", "Köln.csv"), "dot.", "a=b", ":x", "C:", "~x", "a+b&c;d.csv", "'\".csv", "x" * 255),
]
REFUSED = {
    "_x.csv": "begins with '_', and engines ignore such files: give its RawFile another name",
    ".x.csv": "begins with '.', and engines ignore such files: give its RawFile another name",
    "_manifest.json": "begins with '_'",
    "..": "begins with '.'",
    "a:[b].csv": "both ':' and a wildcard",
    "a/b.csv": "has a folder in it: give its RawFile another name",
    "x._COPYING_": "Spark ignores such files",
    "": "is empty",
    "a\nb.csv": "control character: remove it",
    "a\\b.csv": "backslash or a control character: remove it",
    "latin\udce9.csv": "not valid Unicode: rename it to UTF-8",
    "x" * 256: "longer than 255 bytes: shorten it",
    ".git": "begins with '.'",
    "git~1": "is reserved by Git: rename it",
}


def named(folder: Path, names: list[str]) -> AssetsDefinition:
    """Return an asset of one file a partition, each of a row that is its name."""

    @asset(io_manager_key="lake_file_io_manager", partitions_def=numbered(names))
    def files() -> dict[str, RawFile]:
        made: dict[str, RawFile] = {}
        for number, name in enumerate(names):
            path = folder / f"{number}"
            path.write_text(f"name\n{number}\n")
            made[str(number)] = RawFile(name, path, 1, hashlib.sha256(path.read_bytes()).hexdigest())
        return made

    return files


def numbered(names: list[str]) -> StaticPartitionsDefinition:
    return StaticPartitionsDefinition([str(number) for number in range(len(names))])


def test_a_raw_file_of_any_name_is_read_by_spark_and_by_name(
    workbench: Workbench, tmp_path: Path, spark: pyspark.sql.SparkSession
) -> None:
    seen: list[Any] = []
    by_uri: dict[str, str] = {}

    def reader(files: Any) -> MaterializeResult[Any]:
        for file in files.values():
            by_uri[file.name] = spark.read.text(file.uri).collect()[1][0]
        return MaterializeResult()

    def frame(files: Any) -> MaterializeResult[Any]:
        seen.extend(sorted(int(row[0]) for row in files.select("name").collect()))
        return MaterializeResult()

    reader.__annotations__["files"] = dict[str, StoredFile]
    frame.__annotations__["files"] = pyspark.sql.DataFrame
    both = [asset(partitions_def=numbered(NAMES))(function) for function in (reader, frame)]
    tags = {"dagster/asset_partition_range_start": "0", "dagster/asset_partition_range_end": str(len(NAMES) - 1)}
    assert workbench.run(named(tmp_path, NAMES), *both, tags=tags).success
    assert by_uri == {name: str(number) for number, name in enumerate(NAMES)}
    assert seen == list(range(len(NAMES)))


@pytest.mark.parametrize(("name", "why"), REFUSED.items())
def test_a_name_that_would_not_come_back_is_refused(workbench: Workbench, tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(InvalidName, match=why) as raised:
        workbench.run(named(tmp_path, [name]), partition_key="0")
    assert len(str(raised.value).splitlines()) == 1
