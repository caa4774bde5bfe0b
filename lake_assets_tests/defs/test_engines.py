"""What `lake-assets path REF:ASSET` prints, each engine reads as the same rows: on both lakes, for every layout."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import duckdb
import pandas
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from dagster import (
    AssetKey,
    AssetsDefinition,
    DagsterInstance,
    HourlyPartitionsDefinition,
    PartitionsDefinition,
    StaticPartitionsDefinition,
    asset,
    materialize,
)
from fsspec.implementations.arrow import ArrowFSWrapper
from pyarrow.fs import FileSystem, LocalFileSystem, S3FileSystem
from typer.testing import CliRunner

from lake_assets import environments
from lake_assets.cli.app import app
from lake_assets.lake.contract import MAIN, Lake
from lake_assets_tests.audits import TESTS
from lake_assets_tests.defs.environments import use_fresh
from lake_assets_tests.lake.backends import BACKENDS

HOURS = HourlyPartitionsDefinition("2024-01-01-00:00")
TAGS = StaticPartitionsDefinition(["a:b", "100% é", "x=y"])
LAYOUTS: dict[str, tuple[PartitionsDefinition[str] | None, list[str | None]]] = {
    "sales/plain": (None, [None]),
    "sales/plain/by-hour": (HOURS, ["2024-01-01-08:00", "2024-01-02-09:00"]),
    "a.b/tags": (TAGS, list(TAGS.get_partition_keys())),
}
ROWS = [(1, "one", None), (2, None, 2.5), (2**53 + 1, "", 3.5)]
COLUMNS = ["n", "text", "price"]


def frame() -> pandas.DataFrame:
    return pandas.DataFrame(ROWS, columns=pandas.Index(COLUMNS)).astype({"n": "int64"})


def asset_of(name: str) -> AssetsDefinition:
    @asset(key=AssetKey.from_user_string(name), partitions_def=LAYOUTS[name][0], io_manager_key="parquet_io_manager")
    def rows() -> pandas.DataFrame:
        return frame()

    return rows


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    use_fresh(request.param, tmp_path, monkeypatch)
    return request.param


@pytest.fixture
def lake(backend: str) -> Iterator[Lake]:
    """A lake that holds each of the assets."""
    with closing(environments.open_lake()) as lake, DagsterInstance.ephemeral() as instance:
        for name, (_, keys) in LAYOUTS.items():
            for key in keys:
                made = materialize(
                    [asset_of(name)], instance=instance, partition_key=key, resources=environments.resources()
                )
                lake.merge(f"run-{made.run_id}", MAIN, audit=TESTS)
        yield lake


class _Gateway(ArrowFSWrapper):
    """The server's S3, for DuckDB."""

    protocol = "lakefs"  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path.removeprefix("lakefs://")


def filesystem() -> FileSystem:
    """Return what opens the printed path, without this library."""
    if os.environ.get("LAKE_ENV") != "services":
        return LocalFileSystem()
    url = urlsplit(os.environ["LAKEFS_ENDPOINT"])
    return S3FileSystem(
        access_key=os.environ["LAKEFS_ACCESS_KEY_ID"],
        secret_key=os.environ["LAKEFS_SECRET_ACCESS_KEY"],
        endpoint_override=url.netloc,
        scheme=url.scheme,
        region="us-east-1",
    )


def printed(name: str, *options: str) -> str:
    result = CliRunner().invoke(app, ["path", f"main:{name}", *options])
    assert result.exit_code == 0, result.output
    return result.stdout.rstrip("\n")


def rows_of(records: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Return the data columns, whatever the engine calls nothing."""
    rows = [tuple(None if pandas.isna(row[name]) else row[name] for name in COLUMNS) for row in records]
    return sorted(rows, key=str)


@pytest.mark.parametrize("name", LAYOUTS)
def test_pandas_pyarrow_and_duckdb_read_the_same_rows(backend: str, lake: Lake, name: str) -> None:
    path, opened = printed(name), filesystem()
    expected = rows_of(pandas.DataFrame(ROWS * len(LAYOUTS[name][1]), columns=pandas.Index(COLUMNS)).to_dict("records"))
    assert path.startswith("s3://" if backend == "lakefs" else "/")
    below = path.removeprefix("s3://")

    assert rows_of(pq.read_table(below, filesystem=opened).to_pylist()) == expected
    assert rows_of(pyarrow.dataset.dataset(below, filesystem=opened, partitioning="hive").to_table().to_pylist()) == (
        expected
    )
    assert pyarrow.dataset.dataset(below, filesystem=opened).count_rows() == len(expected)
    assert rows_of(pandas.read_parquet(below, filesystem=opened).to_dict("records")) == expected

    with duckdb.connect() as connection:
        if backend == "lakefs":
            # As DuckDB's own S3 would, which is an extension that is fetched from elsewhere.
            connection.register_filesystem(_Gateway(opened))
            path = f"lakefs://{below}"
        found = connection.sql(f"FROM read_parquet('{path}/**/*.parquet')")
        assert rows_of([dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]) == expected


def test_spark_is_told_the_same_place_in_its_own_way(backend: str, lake: Lake) -> None:
    scheme, plain = ("s3a://", "s3://") if backend == "lakefs" else ("file://", "")
    for name in LAYOUTS:
        assert printed(name, "--for", "spark") == scheme + printed(name).removeprefix(plain)


def test_spark_reads_them(lake: Lake, backend: str, spark: Any) -> None:
    if backend == "lakefs":
        pytest.skip("Spark reads s3a:// in the tests of services, which have its connector")
    for name, (_, keys) in LAYOUTS.items():
        found = [row.asDict() for row in spark.read.parquet(printed(name, "--for", "spark")).collect()]
        assert rows_of(found) == rows_of(frame().to_dict("records") * len(keys))
