"""Writes the rows of a stream to disk, so that they can be read several times."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lake_assets.frames.rows import Rows

if TYPE_CHECKING:
    import pyarrow


def spooled(rows: Rows, folder: Path) -> pyarrow.Table:
    """Write rows to a file, and return them as a memory-mapped table of that file.

    Parameters
    ----------
    rows
        The rows.
    folder
        The folder for the file.
    """
    import pyarrow as pa

    place = Path(tempfile.mkdtemp(dir=folder)) / "rows.arrow"
    with pa.OSFile(str(place), "wb") as sink, pa.ipc.new_file(sink, rows.schema) as writer:
        for table in rows.tables():
            writer.write_table(table)
    return pa.ipc.open_file(pa.memory_map(str(place))).read_all()
