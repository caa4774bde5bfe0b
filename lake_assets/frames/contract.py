"""The contract of a frame library: it recognises its frames, converts them to stored rows, and makes frames from rows.

A frame library is one file in this folder and one line in :mod:`.registry`. It imports the library in functions only.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from lake_assets.frames.csv import CsvRows
from lake_assets.frames.parquet import ParquetRows
from lake_assets.frames.parquet_writing import ParquetTarget, write_rows
from lake_assets.frames.rows import Rows, TableRows
from lake_assets.frames.stored_types import type_named

if TYPE_CHECKING:
    import pyarrow
    from pyspark.sql import SparkSession

    from lake_assets.compute.frame import PartsFrame
    from lake_assets.content.version import Content
    from lake_assets.frames.hive_folders import PartitionValues

OpenSession: TypeAlias = "Callable[[], SparkSession]"
"""Returns the Spark session of a run. The first call starts it."""


class FrameLibrary(ABC):
    """One kind of frame.

    Most libraries convert from and to Arrow tables, and are subclasses of :class:`ArrowLibrary`. Spark's is not.

    Attributes
    ----------
    module
        The module from which users import the class of the frames.
    class_name
        The name of the class in that module.
    """

    module: ClassVar[str]
    class_name: ClassVar[str]

    @property
    def name(self) -> str:
        """The full name of the class of the frames."""
        return f"{self.module}.{self.class_name}"

    @property
    def frame_class(self) -> type | None:
        """The class of the frames; None if the library is not imported, so that none of its frames exists."""
        return getattr(sys.modules.get(self.module), self.class_name, None)

    def is_frame(self, value: object) -> bool:
        """Return whether a value is a frame of this library.

        Parameters
        ----------
        value
            Any object.
        """
        frames = self.frame_class
        return frames is not None and isinstance(value, frames)

    def is_annotation(self, annotation: object) -> bool:
        """Return whether an annotation asks for a frame of this library. Subclasses of the frame class do not count.

        Parameters
        ----------
        annotation
            The annotation of an input.
        """
        return annotation is not None and annotation is self.frame_class

    @abstractmethod
    def rows(self, frame: Any) -> Rows:
        """Return the rows of a frame in the stored types.

        Parameters
        ----------
        frame
            The frame.

        Raises
        ------
        RefusedColumn
            A column cannot be stored.
        """

    def parts(
        self, frame: Any, partitions: Mapping[str, PartitionValues] | None, file_format: str
    ) -> PartsFrame | None:
        """Return the rows of a frame for other processes to write; None for a frame that this process writes.

        Parameters
        ----------
        frame
            The frame.
        partitions
            Partition key to its partition columns; None for an unpartitioned frame.
        file_format
            The format of the files.
        """
        del frame, partitions, file_format
        return None

    def write_parquet(self, frame: Any, target: ParquetTarget) -> tuple[pyarrow.Schema, dict[str, Content]]:
        """Write a frame as files of the target's format.

        Parameters
        ----------
        frame
            The rows. For several partitions, it must have the partition columns.
        target
            Where the files of each partition go.

        Returns
        -------
        tuple
            The schema of the files, and for each partition key what was written.

        Raises
        ------
        RefusedColumn
            A column cannot be stored.
        ValueError
            A row belongs to none of the partitions, or a partition column is missing.
        """
        parts = self.parts(frame, target.partitions, target.format)
        if parts is None:
            return write_rows(self.rows(frame), target)
        return parts.schema, parts.write(target.filesystem, target.places)

    @abstractmethod
    def items(self, frame: Any, scratch: Path) -> Any:
        """Return the rows of a frame in a form that the NoSQL stores accept: a `pyarrow.Table` or a Spark frame.

        Parameters
        ----------
        frame
            The rows.
        scratch
            A folder for rows that do not fit into memory. It exists until the items are written.
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
            A folder for a copy, if the engine cannot read the store itself. It exists until the step ends.
        session
            Starts the Spark session, for a library that needs it.
        """

    @abstractmethod
    def empty(self, columns: Mapping[str, str], session: OpenSession) -> Any:
        """Return a frame without rows.

        Parameters
        ----------
        columns
            Column name to type name in the asset's definition. Unknown type names become text.
        session
            Starts the Spark session, for a library that needs it.
        """


class ArrowLibrary(FrameLibrary):
    """A library whose frames are converted from and to Arrow tables, by :meth:`rows` and :meth:`from_rows`.

    Examples
    --------
    >>> class ArrowTables(ArrowLibrary):
    ...     module, class_name = "pyarrow", "Table"
    ...     rows = staticmethod(stored_rows)
    ...     from_rows = staticmethod(lambda rows: rows.table())
    """

    @abstractmethod
    def from_rows(self, rows: Rows) -> Any:
        """Return stored rows as a frame.

        Parameters
        ----------
        rows
            The rows.
        """

    def items(self, frame: Any, scratch: Path) -> Any:
        """Return the rows as one table in memory.

        Parameters
        ----------
        frame
            The frame.
        scratch
            A folder for temporary files. It exists until the items are written.
        """
        del scratch
        return self.rows(frame).table()

    def read_parquet(self, rows: ParquetRows, session: OpenSession) -> Any:
        """Return the rows as a frame. PyArrow reads them.

        Parameters
        ----------
        rows
            The files.
        session
            Starts the Spark session, for a library that needs it.
        """
        del session
        return self.from_rows(rows)

    def read_csv(self, rows: CsvRows, session: OpenSession) -> Any:
        """Return the rows as a frame. :mod:`.csv` reads them.

        Parameters
        ----------
        rows
            The files.
        session
            Starts the Spark session, for a library that needs it.
        """
        del session
        return self.from_rows(rows)

    def read_items(self, rows: Rows, scratch: Path, session: OpenSession) -> Any:
        """Return the items as a frame.

        Parameters
        ----------
        rows
            The items.
        scratch
            A folder for temporary files. It exists until the step ends.
        session
            Starts the Spark session, for a library that needs it.
        """
        del scratch, session
        return self.from_rows(rows)

    def empty(self, columns: Mapping[str, str], session: OpenSession) -> Any:
        """Return a frame without rows. Its types are those that :func:`.stored_types.type_named` returns.

        Parameters
        ----------
        columns
            Column name to type name in the asset's definition.
        session
            Starts the Spark session, for a library that needs it.
        """
        import pyarrow as pa

        del session
        schema = pa.schema([(name, type_named(kind)) for name, kind in columns.items()])
        return self.from_rows(TableRows(schema.empty_table()))
