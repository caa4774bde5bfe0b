"""Spark's Python workers on this machine import pyspark as it is installed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from lake_assets.spark.python_daemon import without_zips

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_a_local_worker_reads_no_zip_before_each_task(spark: SparkSession) -> None:
    def zips(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import sys

        import pyspark

        for _ in batches:
            pass
        found = [entry for entry in [*sys.path, *sys.path_importer_cache, pyspark.__file__] if ".zip" in entry]
        yield pa.record_batch({"zip": pa.array([*found, *(entry for entry in sys.path if entry.endswith(".jar"))])})

    found = [row["zip"] for row in spark.range(1).mapInArrow(zips, "zip string").collect()]
    # Python's own library may be a zip, which need not be there.
    assert [entry for entry in found if not Path(entry).name.startswith("python3")] == []


def test_zips_of_another_spark_and_of_the_user_stay_on_the_path(tmp_path: Path) -> None:
    home = tmp_path / "site-packages"
    (home / "pyspark").mkdir(parents=True)
    (home / "pyspark" / "__init__.py").touch()
    ours = [str(home / "pyspark" / "python" / "lib" / "pyspark.zip"), str(home / "pyspark" / "jars" / "spark.jar")]
    others = [str(tmp_path / "spark" / "python" / "lib" / "pyspark.zip"), str(tmp_path / "job.zip"), str(home)]
    assert without_zips([*ours, *others]) == others
    assert without_zips([*ours, *others[:2]]) == [*ours, *others[:2]]
