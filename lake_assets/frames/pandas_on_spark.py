"""Frames of the pandas API on Spark. Spark's workers read and write them; nothing is copied to the driver."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lake_assets.frames.contract import FrameLibrary, OpenSession
from lake_assets.frames.csv import CsvRows
from lake_assets.frames.parquet import ParquetRows
from lake_assets.frames.rows import Rows
from lake_assets.frames.spark import SparkFrames
from lake_assets.frames.spark_writing import SparkParts
from lake_assets.spark.pandas_api import pandas_session

if TYPE_CHECKING:
    import pyspark.pandas
    from pyspark.sql import DataFrame, SparkSession

    from lake_assets.frames.hive_folders import PartitionValues

_SPARK = SparkFrames()


class PandasOnSparkFrames(FrameLibrary):
    """Frames of the class `pyspark.pandas.DataFrame`. As with pandas, a named index becomes columns."""

    module, class_name = "pyspark.pandas", "DataFrame"

    def rows(self, frame: pyspark.pandas.DataFrame[Any]) -> Rows:
        """Return the rows of a frame, which are fetched from Spark in batches.

        Parameters
        ----------
        frame
            The frame.
        """
        return _SPARK.rows(_to_spark(frame))

    def parts(
        self, frame: pyspark.pandas.DataFrame[Any], partitions: Mapping[str, PartitionValues] | None, file_format: str
    ) -> SparkParts:
        """Return the rows of a frame for Spark's workers to write.

        Parameters
        ----------
        frame
            The frame.
        partitions
            Partition key to its partition columns; None for an unpartitioned frame.
        file_format
            The format of the files.
        """
        return _SPARK.parts(_to_spark(frame), partitions, file_format)

    def items(self, frame: pyspark.pandas.DataFrame[Any], scratch: Path) -> DataFrame:
        """Return the rows as a frame of Spark, whose workers write the items.

        Parameters
        ----------
        frame
            The frame.
        scratch
            A folder for temporary files. It exists until the items are written.
        """
        return _SPARK.items(_to_spark(frame), scratch)

    def read_parquet(self, rows: ParquetRows, session: OpenSession) -> pyspark.pandas.DataFrame[Any]:
        """Return a frame that Spark reads from the files.

        Parameters
        ----------
        rows
            The files.
        session
            Starts the Spark session, for a library that needs it.
        """
        return _SPARK.read_parquet(rows, _own(session)).pandas_api()

    def read_csv(self, rows: CsvRows, session: OpenSession) -> pyspark.pandas.DataFrame[Any]:
        """Return a frame that Spark reads from the files.

        Parameters
        ----------
        rows
            The files.
        session
            Starts the Spark session, for a library that needs it.
        """
        return _SPARK.read_csv(rows, _own(session)).pandas_api()

    def read_items(self, rows: Rows, scratch: Path, session: OpenSession) -> pyspark.pandas.DataFrame[Any]:
        """Return a frame that reads a copy on disk.

        Parameters
        ----------
        rows
            The items.
        scratch
            A folder for temporary files. It exists until the step ends.
        session
            Starts the Spark session, for a library that needs it.
        """
        return _SPARK.read_items(rows, scratch, _own(session)).pandas_api()

    def empty(self, columns: Mapping[str, str], session: OpenSession) -> pyspark.pandas.DataFrame[Any]:
        """Return a frame without rows.

        Parameters
        ----------
        columns
            Column name to type name in the asset's definition.
        session
            Starts the Spark session, for a library that needs it.
        """
        return _SPARK.empty(columns, _own(session)).pandas_api()


def _own(session: OpenSession) -> OpenSession:
    def opened() -> SparkSession:
        return pandas_session(session())

    return opened


def _to_spark(frame: Any) -> DataFrame:
    """Return the rows of a frame. A named index becomes columns; numbers without a name only number the rows."""
    from pandas.api.types import is_integer_dtype

    names = list(frame.index.names)
    if names == [None] and is_integer_dtype(frame.index.dtype):
        with warnings.catch_warnings():
            # It advises to keep the index, which only numbers the rows.
            warnings.simplefilter("ignore")
            return frame.to_spark()
    index = ["index"] if names == [None] else [f"level_{at}" if name is None else name for at, name in enumerate(names)]
    return frame.to_spark(index_col=index)
