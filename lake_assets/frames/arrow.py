"""PyArrow's tables, and its streams of record batches, which are never in memory as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lake_assets.frames.conform import stored_rows, stored_stream
from lake_assets.frames.contract import ArrowLibrary
from lake_assets.frames.rows import Rows
from lake_assets.frames.spool import spooled

if TYPE_CHECKING:
    import pyarrow


class ArrowTables(ArrowLibrary):
    """Frames of the class `pyarrow.Table`."""

    module, class_name = "pyarrow", "Table"

    def rows(self, frame: pyarrow.Table) -> Rows:
        """Return the rows of a table.

        Parameters
        ----------
        frame
            The frame.
        """
        return stored_rows(frame)

    def from_rows(self, rows: Rows) -> pyarrow.Table:
        """Return rows as a table.

        Parameters
        ----------
        rows
            The rows.
        """
        return rows.table()


class ArrowStreams(ArrowLibrary):
    """Streams of the class `pyarrow.RecordBatchReader`, read and written a batch at a time."""

    module, class_name = "pyarrow", "RecordBatchReader"

    def rows(self, frame: pyarrow.RecordBatchReader) -> Rows:
        """Return the remaining rows of a stream.

        Parameters
        ----------
        frame
            The frame.
        """
        import pyarrow as pa

        return stored_stream(frame.schema, (pa.Table.from_batches([batch]) for batch in frame))

    def from_rows(self, rows: Rows) -> pyarrow.RecordBatchReader:
        """Return rows as a stream. It opens each file only when it reads it.

        Parameters
        ----------
        rows
            The rows.
        """
        import pyarrow as pa

        def batches() -> Iterator[pa.RecordBatch]:
            for table in rows.tables():
                yield from table.to_batches()

        return pa.RecordBatchReader.from_batches(rows.schema, batches())

    def items(self, frame: Any, scratch: Path) -> pyarrow.Table:
        """Return the rows as a table on disk.

        Parameters
        ----------
        frame
            The frame.
        scratch
            A folder for temporary files. It exists until the items are written.
        """
        return spooled(self.rows(frame), scratch)
