"""An increment: what one run changes of an asset whose other files stay, and how far the run has read its source."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lake_assets.content.logical_types import logical_schema
from lake_assets.content.version import Content, ContentDigest
from lake_assets.frames.conform import stored_rows, stored_stream
from lake_assets.frames.rows import Rows, joined
from lake_assets.lake.errors import PathNotFound
from lake_assets.lake.names import beside

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.fs import FileSystem

    from lake_assets.lake.contract import Lake

POSITION = "position"
"""The folder beside an asset that holds its state."""
_STATE = "state.json"
EMPTY = "empty"
"""The file of an asset without rows. Readers find its columns there."""


class OtherColumns(ValueError):
    """An increment has other columns than the files that stay."""


@dataclass(frozen=True, slots=True)
class Increment:
    """What one run changes of an asset. All other files of the asset stay as they are.

    Parameters
    ----------
    schema
        The columns of every file, in any of Arrow's types.
    files
        File name without its ending to its rows: an Arrow table, or a stream of batches, which is read once. None
        removes the file.
    beside
        The same for files that are derived from the rows, such as sums. Their names have a folder, as in ``1h/a``, and
        their columns are their own.
    position
        How far the source was read, as JSON. It is part of the commit.
    metadata
        Materialization metadata.
    """

    schema: pyarrow.Schema
    files: Mapping[str, Any]
    position: Mapping[str, Any]
    beside: Mapping[str, pyarrow.Table | None] = field(default_factory=dict[str, Any])
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class State:
    """What a commit records of an asset that is written by increments.

    Parameters
    ----------
    position
        How far its source was read.
    columns
        The logical types of its columns.
    files
        File name to the number of rows, and the two sums of their hashes.
    """

    position: Mapping[str, Any]
    columns: str
    files: Mapping[str, tuple[int, int, int]]

    def content(self, schema: pyarrow.Schema) -> Content:
        """Return number and version of the rows of all files.

        Parameters
        ----------
        schema
            The stored columns.
        """
        digest = ContentDigest(schema)
        for rows, *sums in self.files.values():
            digest.add(rows, (sums[0], sums[1]))
        return Content(digest.rows, digest.version())

    def encode(self) -> bytes:
        """Return the state as JSON."""
        content = {"position": self.position, "columns": self.columns, "files": self.files}
        return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


def state_path(prefix: str) -> str:
    """Return the path of an asset's state in the lake.

    Parameters
    ----------
    prefix
        The asset's folder.
    """
    return f"{beside(prefix)}/{POSITION}/{_STATE}"


def read_state(lake: Lake, ref: str, prefix: str) -> State | None:
    """Return the state of an asset in a ref. None if it was never written by increments.

    Parameters
    ----------
    lake, ref, prefix
        Where the asset is.
    """
    try:
        with lake.open_file(ref, state_path(prefix)) as stream:
            content = json.loads(stream.read())
    except PathNotFound:
        return None
    files = {name: (rows, first, second) for name, (rows, first, second) in content["files"].items()}
    return State(content["position"], content["columns"], files)


def write_file(filesystem: FileSystem, path: str, rows: Any) -> tuple[pyarrow.Schema, tuple[int, int, int]]:
    """Write rows as a Parquet file. Return its columns, the number of rows, and the sums of their hashes.

    Parameters
    ----------
    filesystem
        The file system.
    path
        Path of the file.
    rows
        A table, or a stream of batches.

    Raises
    ------
    RefusedColumn
        A column cannot be stored.
    """
    import pyarrow.parquet as pq

    found = _stored(rows)
    digest = ContentDigest(found.schema)
    # Without Arrow's own schema, so that the files of all engines are alike.
    with pq.ParquetWriter(path, found.schema, filesystem=filesystem, store_schema=False) as writer:
        for table in joined(found.tables()):
            writer.write_table(table)
            for batch in table.to_batches():
                digest.update(batch)
    return found.schema, (digest.rows, *digest.sums)


def stored_batches(rows: pyarrow.RecordBatchReader) -> pyarrow.RecordBatchReader:
    """Return a stream of batches in the stored types.

    Parameters
    ----------
    rows
        The stream.
    """
    import pyarrow as pa

    found = _stored(rows)
    batches = (batch for table in found.tables() for batch in table.to_batches())
    return pa.RecordBatchReader.from_batches(found.schema, batches)


def _stored(rows: Any) -> Rows:
    import pyarrow as pa

    if isinstance(rows, pa.Table):
        return stored_rows(rows)

    def tables() -> Iterator[pyarrow.Table]:
        for batch in rows:
            yield pa.Table.from_batches([batch])

    return stored_stream(rows.schema, tables())


def next_state(
    before: State | None,
    schema: pyarrow.Schema,
    increment: Increment,
    written: Mapping[str, tuple[int, int, int]],
) -> State:
    """Return the state after an increment.

    Parameters
    ----------
    before
        The state before.
    schema
        The stored columns of the increment.
    increment
        The increment.
    written
        What was written of each of its files.

    Raises
    ------
    OtherColumns
        The files that stay have other columns.
    """
    columns = logical_schema(schema)
    held = before.files if before is not None else {}
    kept = {name: sums for name, sums in held.items() if name not in increment.files and name != EMPTY}
    if kept and before is not None and before.columns != columns:
        raise OtherColumns(
            f"the columns are now {columns}, and the rows that are stored have {before.columns}: write all rows anew"
        )
    return State(increment.position, columns, {**kept, **written})
