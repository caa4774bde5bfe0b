"""Spark's frames. Spark's workers read and write their files, on all its machines."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lake_assets.frames.contract import FrameLibrary, OpenSession
from lake_assets.frames.csv import CsvRows
from lake_assets.frames.parquet import ParquetRows
from lake_assets.frames.rows import Rows, StreamRows
from lake_assets.frames.spark_batches import arrow_schema, arrow_tables
from lake_assets.frames.spark_reading import read_spark
from lake_assets.frames.spark_writing import SparkParts

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import DataType

    from lake_assets.frames.hive_folders import PartitionValues


class SparkFrames(FrameLibrary):
    """Frames of the class `pyspark.sql.DataFrame`."""

    module, class_name = "pyspark.sql", "DataFrame"

    def is_annotation(self, annotation: object) -> bool:
        """Return whether an annotation asks for a Spark frame. The subclasses for kinds of sessions count, too.

        Parameters
        ----------
        annotation
            The annotation of an input.
        """
        frames = self.frame_class
        return frames is not None and isinstance(annotation, type) and issubclass(annotation, frames)

    def rows(self, frame: DataFrame) -> Rows:
        """Return the rows of a frame, which are fetched from Spark in batches.

        Parameters
        ----------
        frame
            The frame.
        """
        return StreamRows(arrow_schema(frame), arrow_tables(frame))

    def parts(self, frame: DataFrame, partitions: Mapping[str, PartitionValues] | None, file_format: str) -> SparkParts:
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
        return SparkParts(frame, partitions, file_format)

    def items(self, frame: DataFrame, scratch: Path) -> DataFrame:
        """Return the frame itself, since Spark's workers write the items.

        Parameters
        ----------
        frame
            The frame.
        scratch
            A folder for temporary files. It exists until the items are written.
        """
        del scratch
        return frame

    def read_parquet(self, rows: ParquetRows, session: OpenSession) -> DataFrame:
        """Return a frame that Spark reads from the files.

        Parameters
        ----------
        rows
            The files.
        session
            Starts the Spark session, for a library that needs it.
        """
        return read_spark(session(), rows.folders, rows.base, rows.format)

    def read_csv(self, rows: CsvRows, session: OpenSession) -> DataFrame:
        """Return a frame that Spark reads from the files.

        Parameters
        ----------
        rows
            The files.
        session
            Starts the Spark session, for a library that needs it.
        """
        from lake_assets.frames.spark_csv import read_spark_csv

        return read_spark_csv(session(), rows.filesystem, rows.files, rows.data_schema)

    def read_items(self, rows: Rows, scratch: Path, session: OpenSession) -> DataFrame:
        """Return a frame that reads a copy on disk, so that a large table is never in the driver's memory.

        Parameters
        ----------
        rows
            The items.
        scratch
            A folder for temporary files. It exists until the step ends.
        session
            Starts the Spark session, for a library that needs it.
        """
        import pyarrow.parquet as pq

        path = Path(tempfile.mkdtemp(dir=scratch)) / "table.parquet"
        with pq.ParquetWriter(path, rows.schema) as writer:
            for table in rows.tables():
                writer.write_table(table)
        return session().read.parquet(path.as_uri())

    def empty(self, columns: Mapping[str, str], session: OpenSession) -> DataFrame:
        """Return a frame without rows. Its types may be any that Spark knows by name.

        Parameters
        ----------
        columns
            Column name to type name in the asset's definition.
        session
            Starts the Spark session, for a library that needs it.
        """
        from pyspark.sql.types import StructField, StructType

        fields = [StructField(name, _type_named(kind)) for name, kind in columns.items()]
        return session().createDataFrame([], StructType(fields))


def _type_named(name: str) -> DataType:
    """Return Spark's type of a name; text if Spark does not know the name."""
    from pyspark.errors import PySparkException
    from pyspark.sql.types import DataType, StringType

    try:
        return DataType.fromDDL(name)
    except PySparkException:
        return StringType()
