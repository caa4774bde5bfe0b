"""A query that runs until it is stopped."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as sf

from lake_assets.streaming.kept_running import start
from lake_assets.streaming.microbatches import streaming_session
from lake_assets.streaming.outputs import Files, Mode

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_in_append_mode_a_window_comes_out_when_it_is_final_and_not_with_the_next_line(
    spark: SparkSession, tmp_path: Path
) -> None:
    session = streaming_session(spark, "hdfs")
    lines, counts = tmp_path / "lines", tmp_path / "counts"
    lines.mkdir()
    (lines / "1.txt").write_text("2017-07-28T08:00:10Z\n2017-07-28T08:11:30Z\n")
    read = session.readStream.text(str(lines)).select(sf.col("value").cast("timestamp").alias("time"))
    windows = read.withWatermark("time", "10 minutes").groupBy(sf.window("time", "1 minute")).count()
    two = threading.Event()
    query = start(
        windows.select("count"),
        Files(counts, "parquet"),
        mode=Mode.APPEND,
        checkpoint=tmp_path / "checkpoint",
        trigger=0.0,
        on_progress=lambda progress: two.set() if progress.batch == 1 else None,
    )
    try:
        assert two.wait(60), "there was no micro-batch after the last line"
        assert [row["count"] for row in spark.read.parquet(str(counts)).collect()] == [1]
    finally:
        query.stop()
