"""Formats in a lake on lakeFS: written by this process and by Spark's workers, read together, and verified."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from dagster import DagsterInstance, materialize

from lake_assets import environments
from lake_assets.lake.scrub import Scrub
from lake_assets.runs.verification import Verification
from lake_assets_tests.audits import TESTS
from lake_assets_tests.defs.environments import use_fresh
from lake_assets_tests.io_managers.test_formats import BOTH, BOTH_EMPTY, DAYS, reader, stored
from lake_assets_tests.io_managers.typed_values import spark_frame

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.services


def check(rows: Any, wanted: pa.Table, file_format: str) -> None:
    """Write rows of two partitions, read them together, and verify the lake."""
    resources = environments.resources()
    seen: list[pa.Table] = []
    graph: Any = [stored(rows, file_format, partitions_def=DAYS), reader("pyarrow.Table", seen, partitions_def=DAYS)]
    with DagsterInstance.ephemeral() as instance, closing(environments.open_lake()) as lake:
        result = materialize(graph, resources=resources, instance=instance, tags=BOTH)
        assert seen[0].sort_by("n").to_pydict() == wanted.sort_by("n").to_pydict()
        lake.merge(f"run-{result.run_id}", "main", audit=TESTS)
        verification = Verification(lake, instance, "main", Scrub())
        assert [problem.reason for problem in verification.problems(lambda _: None)] == []
        assert verification.scrub.hashed >= 2


ROWS = pa.table({**BOTH_EMPTY, "partition": ["mon", "tue"] * 3})


@pytest.mark.parametrize("file_format", ["orc", "csv"])
def test_partitions_come_back_and_are_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_format: str
) -> None:
    use_fresh("lakefs", tmp_path, monkeypatch)
    check(ROWS, ROWS, file_format)


@pytest.mark.parametrize("file_format", ["parquet", "orc", "csv"])
def test_what_workers_of_spark_write_comes_back_and_is_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spark: SparkSession, file_format: str
) -> None:
    use_fresh("lakefs", tmp_path, monkeypatch)
    check(spark_frame(spark, ROWS).repartition(2), ROWS, file_format)
