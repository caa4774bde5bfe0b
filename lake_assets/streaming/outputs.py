"""Outputs of a query that runs until it is stopped: the console, a folder, or a Kafka topic."""

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
"""Maximal number of rows of a micro-batch on the console."""


class Mode(str, Enum):
    """The rows that a micro-batch writes: only final ones, all, or only changed ones."""

    APPEND = "append"
    COMPLETE = "complete"
    UPDATE = "update"


class Output(Protocol):
    """The output of a query."""

    @property
    def name(self) -> str:
        """Name of the output for users. It contains no credentials."""
        ...

    def writer(self, rows: DataFrame, mode: Mode) -> DataStreamWriter:
        """Return the writer of a streaming frame.

        Parameters
        ----------
        rows
            The streaming frame.
        mode
            The output mode.
        """
        ...


@dataclass(frozen=True)
class Console:
    """Prints every micro-batch as a table on stdout."""

    @property
    def name(self) -> str:
        """Name of the output."""
        return "the console"

    def writer(self, rows: DataFrame, mode: Mode) -> DataStreamWriter:
        """Return Spark's console output; see :meth:`Output.writer`."""
        from pyspark.sql import functions as sf

        # Spark prints words as they are, and they may control a terminal.
        texts = [name for name, kind in rows.dtypes if kind == "string"]
        rows = rows.withColumns({name: sf.regexp_replace(name, r"\p{C}", "\ufffd") for name in texts})
        writer = rows.writeStream.outputMode(mode.value).format("console")
        return writer.option("truncate", "false").option("numRows", str(SHOWN))


@dataclass(frozen=True)
class Files:
    """A folder of Parquet or CSV files.

    In the modes append and update each micro-batch is a folder ``batch=N``. It appears when it is complete. If a batch
    is repeated after a crash, its folder is replaced. In the mode complete there is one file, ``counts.parquet`` or
    ``counts.csv``, which each batch replaces atomically.

    Parameters
    ----------
    folder
        The folder. All machines of Spark must see it.
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
        """Tell whether the folder contains output already."""
        return any(self.folder.glob("batch=*")) or (self.folder / f"counts.{self.format}").exists()

    def writer(self, rows: DataFrame, mode: Mode) -> DataStreamWriter:
        """Return a writer that writes the files of each micro-batch; see :meth:`Output.writer`."""
        return rows.writeStream.outputMode(mode.value).foreachBatch(
            self._replace if mode is Mode.COMPLETE else self._add
        )

    def _add(self, rows: DataFrame, number: int) -> None:
        aside = self._written_aside(rows, number)
        target = self.folder / f"batch={number}"
        shutil.rmtree(target, ignore_errors=True)
        aside.rename(target)

    def _replace(self, rows: DataFrame, number: int) -> None:
        # Not coalesce, with which a single task would process all of the query's state.
        aside = self._written_aside(rows.repartition(1), number)
        (file,) = aside.glob("part-*")
        file.replace(self.folder / f"counts.{self.format}")
        shutil.rmtree(aside)

    def _written_aside(self, rows: DataFrame, number: int) -> Path:
        """Write to a hidden folder, which readers ignore."""
        self.folder.mkdir(parents=True, exist_ok=True)
        aside = self.folder / f".batch-{number}"
        rows.write.mode("overwrite").format(self.format).option("header", "true").save(f"file://{aside}")
        return aside


@dataclass(frozen=True)
class Topic:
    """A Kafka topic, written by Spark at least once. Each record is a row as JSON, with a column as its key.

    Parameters
    ----------
    cluster, topic
        The Kafka cluster, and the name of the topic.
    key
        Column for the record's key.
    """

    cluster: KafkaCluster
    topic: str
    key: str

    @property
    def name(self) -> str:
        """The URL of the topic."""
        return f"kafka://{self.cluster.servers}/{self.topic}"

    def writer(self, rows: DataFrame, mode: Mode) -> DataStreamWriter:
        """Return Spark's Kafka output; see :meth:`Output.writer`."""
        from pyspark.sql import functions as sf

        records = rows.select(sf.col(self.key).alias("key"), sf.to_json(sf.struct(*rows.columns)).alias("value"))
        writer = records.writeStream.outputMode(mode.value).format("kafka").option("topic", self.topic)
        return writer.options(**self.cluster.spark_options())
