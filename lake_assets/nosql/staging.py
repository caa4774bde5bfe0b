"""Rows that Spark's workers have handed in, in files beside the store, until the driver writes them at once."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from lake_assets.lake.permissions import sharing_near
from lake_assets.nosql.disk_errors import remedy
from lake_assets.nosql.errors import NoSQLError

_ABANDONED = 7 * 86_400
"""Seconds after which files of a job that was killed are removed."""


class Staging:
    """A folder for the files of one write.

    Parameters
    ----------
    address
        Address of the store. Files of LMDB's are in its folder, others in the folder for temporary files.
    """

    def __init__(self, address: str) -> None:
        kind, _, place = address.partition("://")
        # Not in the folder of `spool`: each writer removes what nobody has locked there.
        temporary = Path(tempfile.gettempdir()) / f"lake-assets-{os.getuid()}-staged"
        self._root = Path(place) / "staged" if kind == "lmdb" else temporary
        self._folder = self._root / uuid.uuid4().hex

    def add(self, batches: Iterator[pa.RecordBatch]) -> str | None:
        """Write batches to a file, and return its path. None if there are none.

        Parameters
        ----------
        batches
            The batches, which have equal columns.
        """
        first = next(batches, None)
        if first is None:
            return None
        file = self._folder / f"{uuid.uuid4().hex}.arrow"
        try:
            sharing_near(self._root.parent).make_folder(self._folder)
            with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, first.schema) as writer:
                writer.write_batch(first)
                for batch in batches:
                    writer.write_batch(batch)
        except OSError as error:
            raise NoSQLError(f"cannot write to {self._folder}: {error}{remedy(error)}") from error
        return str(file)

    @contextmanager
    def rows(self, files: Sequence[str], empty: pa.Table) -> Generator[pa.Table]:
        """Yield the rows of files as a table that is mapped from them. The files are removed at the end.

        Parameters
        ----------
        files
            The files.
        empty
            A table without rows, for no files.
        """
        away = [file for file in files if not Path(file).is_file()]
        if away:
            raise NoSQLError(
                f"Spark's workers share no folder with the driver ({away[0]} is not here): write the frame by "
                "store.write(table, frame), a stream's in foreachBatch, which needs none"
            )
        try:
            tables = [pa.ipc.open_file(pa.memory_map(file)).read_all() for file in files]
            yield pa.concat_tables(tables) if tables else empty
        finally:
            self.clear()

    def clear(self) -> None:
        """Remove the files, and those of jobs that were killed long ago."""
        shutil.rmtree(self._folder, ignore_errors=True)
        for other in self._root.glob("*"):
            if time.time() - other.stat().st_mtime > _ABANDONED:
                shutil.rmtree(other, ignore_errors=True)
