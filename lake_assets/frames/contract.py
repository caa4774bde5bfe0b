"""What a frame library does for the lake: recognise its frames, turn them into stored rows, and make them from those.

A library is one file in this folder and one line in :mod:`.registry`. It must not be imported before somebody uses it:
import it inside of functions.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from lake_assets.frames.csv import CsvRows
from lake_assets.frames.parquet import ParquetRows, ParquetTarget, write_rows
from lake_assets.frames.rows import Rows, TableRows
from lake_assets.frames.stored_types import type_named

if TYPE_CHECKING:
    import pyarrow
    from pyspark.sql import SparkSession

    from lake_assets.content.version import Content

OpenSession: TypeAlias = "Callable[[], SparkSession]"
"""Starts the Spark session of a run at its first call."""


class FrameLibrary(ABC):
    """One kind of frame.

    Most libraries take and give Arrow tables: they are an :class:`ArrowLibrary`. One that reads and writes files
    itself, as Spark does, is a subclass of this.

    Attributes
    ----------
    module, class_name
        Where users find the class of the frames: the module that they import it from, and its name there.
    """

    module: ClassVar[str]
    class_name: ClassVar[str]

    @property
    def name(self) -> str:
        """The class of the frames as users write it."""
        return f"{self.module}.{self.class_name}"

    @property
    def frame_class(self) -> type | None:
        """The class of the frames; None where nobody has imported the library, so that no frame of it exists."""
        return getattr(sys.modules.get(self.module), self.class_name, None)

    def is_frame(self, value: object) -> bool:
        """Return whether a value is a frame of this library."""
        frames = self.frame_class
        return frames is not None and isinstance(value, frames)

    def is_annotation(self, annotation: object) -> bool:
        """Return whether an annotation asks for a frame of this library. A subclass is something else."""
        return annotation is not None and annotation is self.frame_class

    @abstractmethod
    def rows(self, frame: Any) -> Rows:
        """Return the rows of a frame in the types that are stored.

        Raises
        ------
        RefusedColumn
            A column cannot be stored.
        """

    @abstractmethod
    def write_parquet(self, frame: Any, target: ParquetTarget) -> tuple[pyarrow.Schema, dict[str, Content]]:
        """Write a frame as Parquet files.

        Parameters
        ----------
        frame
            The rows. Where there are several partitions, their columns must be in it.
        target
            Where the files of each partition go.

        Returns
        -------
        tuple
            The columns of the files, and partition key to what was written.

        Raises
        ------
        RefusedColumn
            A column cannot be stored.
        ValueError
            A row belongs to none of the partitions, or a partition column is missing.
        """

    @abstractmethod
    def items(self, frame: Any, scratch: Path) -> Any:
        """Return the rows of a frame as the NoSQL stores take them: a `pyarrow.Table`, or a frame of Spark.

        Parameters
        ----------
        frame
            The rows.
        scratch
            A folder for what does not fit into memory. It stays until the items are written.
        """

    @abstractmethod
    def read_parquet(self, rows: ParquetRows, session: OpenSession) -> Any:
        """Return the rows of Parquet files as a frame.

        Parameters
        ----------
        rows
            The files.
        session
            Starts the Spark session, for a library that needs it.
        """

    @abstractmethod
    def read_csv(self, rows: CsvRows, session: OpenSession) -> Any:
        """Return the rows of CSV files as a frame.

        Parameters
        ----------
        rows
            The files.
        session
            Starts the Spark session, for a library that needs it.
        """

    @abstractmethod
    def read_items(self, rows: Rows, scratch: Path, session: OpenSession) -> Any:
        """Return the items of a NoSQL table as a frame.

        Parameters
        ----------
        rows
            The items.
        scratch
            A folder for a copy, for an engine that does not read the store itself. It stays as long as the step runs.
        session
            Starts the Spark session, for a library that needs it.
        """

    @abstractmethod
    def empty(self, columns: Mapping[str, str], session: OpenSession) -> Any:
        """Return a frame without rows.

        Parameters
        ----------
        columns
            Column to the name that the asset's definition gives its type; text where no library knows it.
        session
            Starts the Spark session, for a library that needs it.
        """


class ArrowLibrary(FrameLibrary):
    """A library whose frames are made from Arrow tables and turned into them.

    A subclass implements :meth:`rows` and :meth:`from_rows`. The other methods use these two.

    Examples
    --------
    >>> class ArrowTables(ArrowLibrary):
    ...     module, class_name = "pyarrow", "Table"
    ...
    ...     def rows(self, frame):
    ...         return stored_rows(frame)
    ...
    ...     def from_rows(self, rows):
    ...         return rows.table()
    """

    @abstractmethod
    def from_rows(self, rows: Rows) -> Any:
        """Return stored rows as a frame."""

    def write_parquet(self, frame: Any, target: ParquetTarget) -> tuple[pyarrow.Schema, dict[str, Content]]:
        """Write the rows a table at a time, and hash them on the way."""
        return write_rows(self.rows(frame), target)

    def items(self, frame: Any, scratch: Path) -> Any:
        """Return the rows as one table in memory."""
        del scratch
        return self.rows(frame).table()

    def read_parquet(self, rows: ParquetRows, session: OpenSession) -> Any:
        """Return the rows that PyArrow reads."""
        del session
        return self.from_rows(rows)

    def read_csv(self, rows: CsvRows, session: OpenSession) -> Any:
        """Return the rows that :mod:`.csv` reads."""
        del session
        return self.from_rows(rows)

    def read_items(self, rows: Rows, scratch: Path, session: OpenSession) -> Any:
        """Return the items that the store reads."""
        del scratch, session
        return self.from_rows(rows)

    def empty(self, columns: Mapping[str, str], session: OpenSession) -> Any:
        """Return a frame of the types that :func:`.stored_types.type_named` knows."""
        import pyarrow as pa

        del session
        schema = pa.schema([(name, type_named(kind)) for name, kind in columns.items()])
        return self.from_rows(TableRows(schema.empty_table()))
