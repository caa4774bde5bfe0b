"""Where a query that is kept running writes to: the console, a folder, or a Kafka topic."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.streaming.readwriter import DataStreamWriter

    from lake_assets.kafka.cluster import KafkaCluster

SHOWN = 1000
"""Rows of a micro-batch that the console shows."""


class Mode(str, Enum):
    """Which rows a micro-batch puts out."""

    APPEND = "append"
    COMPLETE = "complete"
    UPDATE = "update"


class Output(Protocol):
    """What a query writes to."""

    @property
    def name(self) -> str:
        """The output as a user names it; holds no credentials."""
        ...

    def writer(self, rows: DataFrame, mode: Mode) -> DataStreamWriter:
        """Return what writes a streaming frame."""
        ...


@dataclass(frozen=True)
class Console:
    """Prints every micro-batch as a table on stdout."""

    @property
    def name(self) -> str:
        """Its name."""
        return "the console"

    def writer(self, rows: DataFrame, mode: Mode) -> DataStreamWriter:
        """Return Spark's own output of that name."""
        writer = rows.writeStream.outputMode(mode.value).format("console")
        return writer.option("truncate", "false").option("numRows", str(SHOWN))


@dataclass(frozen=True)
class Files:
    """A folder of Parquet or CSV files.

    In modes append and update each micro-batch is a folder ``batch=N``, which appears when it is complete; a batch
    that is run again after a crash takes the place of itself. In mode complete there is one file,
    ``counts.parquet`` or ``counts.csv``, which the next batch replaces in one step.

    Parameters
    ----------
    folder
        Where to; all of Spark must see it.
    format
        ``parquet`` or ``csv``.
    """

    folder: Path
    format: str

    @property
    def name(self) -> str:
        """The format and the folder."""
        return f"{self.format} {self.folder}"

    def holds_any(self) -> bool:
        """Tell whether anything that this would write is there already."""
        return any(self.folder.glob("batch=*")) or (self.folder / f"counts.{self.format}").exists()

    def writer(self, rows: DataFrame, mode: Mode) -> DataStreamWriter:
        """Return a writer that calls a function of ours for each micro-batch."""
        return rows.writeStream.outputMode(mode.value).foreachBatch(
            self._replace if mode is Mode.COMPLETE else self._add
        )

    def _add(self, rows: DataFrame, number: int) -> None:
        aside = self._written_aside(rows, number)
        target = self.folder / f"batch={number}"
        shutil.rmtree(target, ignore_errors=True)
        aside.rename(target)

    def _replace(self, rows: DataFrame, number: int) -> None:
        # Not coalesce: all of the query's state would be worked on by one task.
        aside = self._written_aside(rows.repartition(1), number)
        (file,) = aside.glob("part-*")
        file.replace(self.folder / f"counts.{self.format}")
        shutil.rmtree(aside)

    def _written_aside(self, rows: DataFrame, number: int) -> Path:
        """Write where no reader looks; Spark leaves out what begins with a dot."""
        self.folder.mkdir(parents=True, exist_ok=True)
        aside = self.folder / f".batch-{number}"
        rows.write.mode("overwrite").format(self.format).option("header", "true").save(f"file://{aside}")
        return aside


@dataclass(frozen=True)
class Topic:
    """A Kafka topic, by Spark's own output: at least once, keyed by the row's key, the row as JSON.

    Parameters
    ----------
    cluster, topic
        Where to.
    key
        Column that is the record's key.
    """

    cluster: KafkaCluster
    topic: str
    key: str

    @property
    def name(self) -> str:
        """The topic's URL."""
        return f"kafka://{self.cluster.servers}/{self.topic}"

    def writer(self, rows: DataFrame, mode: Mode) -> DataStreamWriter:
        """Return Spark's own output of that name."""
        from pyspark.sql import functions as sf

        records = rows.select(sf.col(self.key).alias("key"), sf.to_json(sf.struct(*rows.columns)).alias("value"))
        writer = records.writeStream.outputMode(mode.value).format("kafka").option("topic", self.topic)
        return writer.options(**self.cluster.spark_options())
