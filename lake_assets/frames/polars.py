"""Polars' frames: `DataFrame` and `LazyFrame`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lake_assets.frames.conform import stored_rows, stored_stream
from lake_assets.frames.contract import ArrowLibrary, OpenSession
from lake_assets.frames.file_formats import PARQUET
from lake_assets.frames.parquet import ParquetRows
from lake_assets.frames.rows import Rows
from lake_assets.frames.spool import spooled
from lake_assets.frames.stored_types import RefusedColumn

if TYPE_CHECKING:
    import polars
    import pyarrow

_ROWS = 1 << 16
"""The number of rows of a lazy frame that are in memory at a time."""


class PolarsFrames(ArrowLibrary):
    """Frames of the class `polars.DataFrame`."""

    module, class_name = "polars", "DataFrame"

    def rows(self, frame: polars.DataFrame) -> Rows:
        """Return the rows of a frame.

        Parameters
        ----------
        frame
            The frame.
        """
        return stored_rows(_to_arrow(frame))

    def from_rows(self, rows: Rows) -> polars.DataFrame:
        """Return rows as a frame.

        Parameters
        ----------
        rows
            The rows.
        """
        return _from_arrow(rows.table())


class PolarsLazyFrames(ArrowLibrary):
    """Frames of the class `polars.LazyFrame`. They are written in batches, and read when they are collected."""

    module, class_name = "polars", "LazyFrame"

    def rows(self, frame: polars.LazyFrame) -> Rows:
        """Return the rows of a frame, which is collected in batches.

        Parameters
        ----------
        frame
            The frame.
        """
        import polars

        schema = _to_arrow(polars.DataFrame(schema=frame.collect_schema())).schema
        return stored_stream(schema, (_to_arrow(batch) for batch in frame.collect_batches(chunk_size=_ROWS)))

    def from_rows(self, rows: Rows) -> polars.LazyFrame:
        """Return a frame that reads the rows whenever it is collected. It reads only the columns that are needed.

        Parameters
        ----------
        rows
            The rows.
        """
        from polars.io.plugins import register_io_source

        def read(
            columns: list[str] | None, predicate: polars.Expr | None, limit: int | None, batch_rows: int | None
        ) -> Iterator[polars.DataFrame]:
            del batch_rows
            for table in rows.tables(columns):
                frame = _from_arrow(table if limit is None else table.slice(0, limit))
                limit = None if limit is None else limit - len(frame)
                yield frame if predicate is None else frame.filter(predicate)
                if limit == 0:
                    return

        return register_io_source(read, schema=_from_arrow(rows.schema.empty_table()).schema)

    def read_parquet(self, rows: ParquetRows, session: OpenSession) -> polars.LazyFrame:
        """Return a scan by Polars if it reads the files in the stored types, and otherwise :meth:`from_rows`.

        Parameters
        ----------
        rows
            The files.
        session
            Starts the Spark session, for a library that needs it.
        """
        del session
        scanned = _scanned(rows)
        return self.from_rows(rows) if scanned is None else scanned

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


def _scanned(rows: ParquetRows) -> polars.LazyFrame | None:
    """Return Polars' own scan; None if the files are no Parquet, not on a local disk, or differ in schema."""
    import polars

    if (
        rows.format != PARQUET
        or not rows.is_local
        or any(schema != rows.data_schema for part in rows.folders for schema in part.files.values())
    ):
        return None
    parts: list[polars.LazyFrame] = []
    for part in rows.folders:
        scan = polars.scan_parquet([part.path(name) for name in part.files], glob=False, hive_partitioning=False)
        parts.append(scan.with_columns(**{name: polars.lit(value) for name, value in part.values.items()}))
    # Polars does not always read the stored types, such as for the timestamps in old Spark files.
    wanted = _from_arrow(rows.schema.empty_table()).schema
    return polars.concat(parts) if parts[0].collect_schema() == wanted else None


def _to_arrow(frame: polars.DataFrame) -> pyarrow.Table:
    """Return a frame as a table. Refuse columns of types that only Polars has."""
    import polars
    import pyarrow as pa

    refused = [name for name, kind in frame.schema.items() if kind == polars.Object]
    for name in refused:
        raise RefusedColumn(
            f"column {name!r} holds Python objects, which have no type in the lake: cast it to one of docs/types.md"
        )
    try:
        return frame.to_arrow(compat_level=polars.CompatLevel.oldest())
    except pa.ArrowException:
        for name, kind in frame.schema.items():
            try:
                frame.select(name).to_arrow(compat_level=polars.CompatLevel.oldest())
            except pa.ArrowException:
                raise RefusedColumn(
                    f"column {name!r} is {kind}, which has no type in the lake: cast it to one of docs/types.md"
                ) from None
        raise


def _from_arrow(table: pyarrow.Table) -> polars.DataFrame:
    import polars

    frame = polars.from_arrow(table, rechunk=False)
    assert isinstance(frame, polars.DataFrame)
    return frame
