"""A small job that uses what the library's jobs use of Spark. Its JVM writes the archive of classes at its end.

``python -m lake_assets.spark.training ARCHIVE FOLDER`` runs it, with its data in a folder.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lake_assets.spark.jvm import training_options
from lake_assets.spark.session import file_uri, generate_no_code, prepare_process, read_any_file_name, session_conf

if TYPE_CHECKING:
    import pyarrow
    from pyspark.sql import DataFrame, SparkSession

_DEADLINE = 300


def main(archive: Path, folder: Path) -> None:
    """Run the job, and wait until its JVM has written the archive.

    Parameters
    ----------
    archive
        Where the JVM writes the archive.
    folder
        Folder for the job's data.
    """
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    prepare_process()
    builder = SparkSession.builder.master("local[2]").config("spark.sql.warehouse.dir", str(folder / "warehouse"))
    for name, value in {**session_conf(), **training_options(archive)}.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    read_any_file_name(session)
    exercise(session, folder)
    session.stop()
    # Spark has no public API for its JVM, which ends when its input does.
    gateway: Any = SparkContext._gateway  # pyright: ignore[reportPrivateUsage]
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait(_DEADLINE)


def exercise(session: SparkSession, folder: Path) -> None:
    """Use in a session what the library's jobs use of Spark.

    Parameters
    ----------
    session
        The session.
    folder
        Folder for the job's data.
    """
    _count_words(session, folder)
    _read_and_write(session, folder)


def _count_words(session: SparkSession, folder: Path) -> None:
    from pyspark.sql import functions

    source = folder / "lines"
    source.mkdir()
    (source / "lines.txt").write_text("one line of words\n")

    def save(batch: DataFrame, batch_id: int) -> None:
        batch.write.mode("overwrite").parquet(file_uri(folder / f"counts-{batch_id}"))

    for number, provider in enumerate(("HDFSBackedStateStoreProvider", "RocksDBStateStoreProvider")):
        package = "org.apache.spark.sql.execution.streaming.state"
        apart = session.newSession()
        apart.conf.set("spark.sql.streaming.stateStore.providerClass", f"{package}.{provider}")
        if number == 0:
            # As a query over few lines.
            generate_no_code(apart)
        lines = apart.readStream.text(file_uri(source)).selectExpr("value", "current_timestamp() AS time")
        read = lines.mapInArrow(_as_they_are, lines.schema).observe("lines", functions.count(functions.lit(1)))
        words = read.withWatermark("time", "1 minute").selectExpr("time", "explode(split(value, ' ')) AS word")
        counts = words.groupBy(functions.window("time", "1 minute"), "word").count()
        stream = counts.writeStream.outputMode("update").foreachBatch(save).trigger(availableNow=True)
        stream.option("checkpointLocation", str(folder / f"checkpoint-{number}")).start().awaitTermination()


def _as_they_are(batches: Iterable[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
    yield from batches


def _read_and_write(session: SparkSession, folder: Path) -> None:
    import pandas

    frame = session.createDataFrame(pandas.DataFrame({"key": ["a", "b"], "value": [1, 2]}))
    frame.write.parquet(file_uri(folder / "table"))
    stored = session.read.parquet(file_uri(folder / "table"))
    stored.groupBy("key").agg({"value": "max"}).orderBy("key").toPandas()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
