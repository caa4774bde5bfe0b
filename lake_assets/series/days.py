"""Rows by key in files of days, as increments: only the days that new rows belong to are written again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lake_assets.frames.increment import Increment
from lake_assets.lake.errors import PathNotFound
from lake_assets.lake.rows import bounded_connection
from lake_assets.series.keyed import last_of_each
from lake_assets.series.samples import by_day

if TYPE_CHECKING:
    import pyarrow

    from lake_assets.lake.contract import Lake


def add_to_days(
    lake: Lake,
    ref: str,
    prefix: str,
    *,
    rows: pyarrow.Table,
    key: Sequence[str],
    position: Mapping[str, Any],
    metadata: Mapping[str, Any],
) -> Increment:
    """Return the increment of new rows. Of equal keys, the last row stays.

    Parameters
    ----------
    lake, ref, prefix
        Where the rows are.
    rows
        The new rows, with a column ``time``, in the order in which they came.
    key
        The key columns. The time is one of them.
    position
        How far their source was read.
    metadata
        Materialization metadata.
    """
    files: dict[str, pyarrow.Table] = {}
    with bounded_connection() as connection:
        for day, fresh in by_day(rows):
            stored = read_file(lake, ref, f"{prefix}/{day}.parquet", rows.schema)
            found = last_of_each(connection, pa.concat_tables([stored, fresh]), key)
            if not found.equals(stored):
                files[day] = found
    return Increment(rows.schema, files, position, metadata={**metadata, "days": len(files)})


def add_to_file(
    lake: Lake,
    ref: str,
    prefix: str,
    *,
    name: str,
    rows: pyarrow.Table,
    key: Sequence[str],
    metadata: Mapping[str, Any],
) -> Increment:
    """Return the increment of new rows of one file.

    Parameters
    ----------
    lake, ref, prefix
        Where the rows are.
    name
        Name of the file.
    rows
        The new rows.
    key
        The key columns.
    metadata
        Materialization metadata.
    """
    stored = read_file(lake, ref, f"{prefix}/{name}.parquet", rows.schema)
    with bounded_connection() as connection:
        found = last_of_each(connection, pa.concat_tables([stored, rows]), key)
    return Increment(rows.schema, {} if found.equals(stored) else {name: found}, {}, metadata=metadata)


def read_file(lake: Lake, ref: str, path: str, schema: pyarrow.Schema) -> pyarrow.Table:
    """Return the rows of a file; none if it is not there.

    Parameters
    ----------
    lake, ref, path
        Where the file is.
    schema
        The wanted columns.
    """
    import pyarrow.parquet as pq

    try:
        snapshot = lake.path(ref, path)
    except PathNotFound:
        return schema.empty_table()
    return pq.read_table(snapshot.root, filesystem=snapshot.filesystem, columns=schema.names).cast(schema)
