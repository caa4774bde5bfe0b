"""The settings of a session for streaming queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lake_assets.spark.session import MAINTENANCE_INTERVAL, SHUFFLE_PARTITIONS, session_conf
from lake_assets.streaming.microbatches import streaming_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MANAGER = "spark.sql.streaming.checkpointFileManagerClass"


def test_a_new_stream_on_one_machine_has_a_partition_for_each_core(spark: SparkSession) -> None:
    # The session of the tests has two.
    assert streaming_session(spark, "hdfs").conf.get(SHUFFLE_PARTITIONS) == "2"
    assert spark.conf.get(SHUFFLE_PARTITIONS) == "8"


def test_the_files_of_a_checkpoint_are_made_without_a_process_for_each(spark: SparkSession) -> None:
    on_disk = streaming_session(spark, "hdfs", "file:///checkpoint").conf.get(MANAGER)
    on_s3 = streaming_session(spark, "hdfs", "s3a://lake/checkpoint").conf.get(MANAGER)
    assert on_disk is not None
    assert on_disk.endswith(".FileSystemBasedCheckpointFileManager")
    assert on_s3 is not None
    assert on_s3.endswith(".AbortableStreamBasedCheckpointFileManager")


def test_state_on_disk_is_tidied_within_a_batch_that_takes_no_second(spark: SparkSession) -> None:
    """Otherwise a stream of short runs keeps the changes of all runs, and each run reads them."""
    assert streaming_session(spark, "hdfs", "file:///checkpoint").conf.get(MAINTENANCE_INTERVAL) == "100ms"
    assert session_conf("spark://host:7077")[MAINTENANCE_INTERVAL] == "1s"
