"""Partition columns in a frame. Their values must match the folders, and they are not stored in the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lake_assets.frames.hive_folders import PartitionValues, folder
from lake_assets.frames.stored_types import RefusedColumn

if TYPE_CHECKING:
    import pyarrow


class MisplacedRows(ValueError):
    """Some rows belong to none of the partitions that are written."""


def present_columns(names: Sequence[str], partitions: Mapping[str, PartitionValues] | None) -> list[str]:
    """Return the partition columns that a frame has.

    Parameters
    ----------
    names
        Column names of the frame.
    partitions
        Partition key to its partition columns; None for an unpartitioned frame.

    Raises
    ------
    ValueError
        The frame is for several partitions and lacks a partition column.
    RefusedColumn
        A column differs from a partition column only in case.
    """
    wanted = list(next(iter(partitions.values()))) if partitions else []
    for name in names:
        other = next((column for column in wanted if column.lower() == name.lower()), name)
        if other != name:
            raise RefusedColumn(f"column {name!r} and the partition column {other!r} differ in case only: rename it")
    present = [name for name in wanted if name in names]
    if partitions is not None and len(partitions) > 1 and present != wanted:
        raise ValueError(
            f"a frame for {len(partitions)} partitions must have the columns {wanted}; it has {list(names)}"
        )
    return present


def misplaced_rows(
    rows: int, total: int, present: Sequence[str], partitions: Mapping[str, PartitionValues]
) -> MisplacedRows:
    """Return the error for rows that belong to none of the partitions being written.

    Parameters
    ----------
    rows
        The number of such rows.
    total
        The number of all rows.
    present
        The partition columns that the frame has.
    partitions
        Partition key to its partition columns.
    """
    keys = sorted(partitions)
    shown = f"{keys}" if len(keys) <= 5 else f"{keys[0]!r} to {keys[-1]!r}"
    return MisplacedRows(
        f"{rows} of {total} rows belong to none of the partitions {shown} being written: the columns {list(present)} "
        f"must have the values of the folder, such as {folder(next(iter(partitions.values())))!r}; correct them, or "
        "leave them out of a frame for one partition"
    )


def split(table: pyarrow.Table, partitions: Mapping[str, PartitionValues] | None) -> dict[str, pyarrow.Table]:
    """Return the rows of each partition, without the partition columns.

    Parameters
    ----------
    table
        The rows.
    partitions
        Partition key to its partition columns; None for an unpartitioned table, whose key is ``""``.

    Raises
    ------
    MisplacedRows
        Some rows belong to none of the partitions.
    ValueError
        A partition column is missing.
    """
    present = present_columns(table.column_names, partitions)
    texts = {name: _as_text(table.column(name)) for name in present}
    data = table.drop_columns(present) if present else table
    parts = {key: _rows_of(data, texts, columns) for key, columns in (partitions or {"": {}}).items()}
    placed = sum(part.num_rows for part in parts.values())
    if placed != table.num_rows:
        raise misplaced_rows(table.num_rows - placed, table.num_rows, present, partitions or {})
    return parts


def _rows_of(table: pyarrow.Table, texts: Mapping[str, Any], columns: PartitionValues) -> pyarrow.Table:
    import pyarrow.compute

    pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them
    mask: Any = None
    for name, text in texts.items():
        equal = pc.equal(text, columns[name])
        mask = equal if mask is None else pc.and_(mask, equal)
    return table if mask is None else table.filter(mask)


def _as_text(column: pyarrow.ChunkedArray) -> pyarrow.ChunkedArray:
    """Return a partition column as text, as in the folders. If all times are midnight, only the days are written."""
    import pyarrow as pa

    if isinstance(column.type, pa.TimestampType):
        days = column.cast(pa.date32())
        if days.cast(column.type).equals(column):
            column = days
    return column.cast(pa.string())
