"""A preview of stored rows, as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lake_assets.frames.conform import conform
from lake_assets.frames.parquet import file_schema, open_parquet

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.fs import FileSystem


def preview(filesystem: FileSystem, path: str, rows: int = 5) -> pyarrow.Table:
    """Return the first rows of a Parquet file.

    Parameters
    ----------
    filesystem
        File system of the file.
    path
        Path of the file.
    rows
        The number of rows.
    """
    import pyarrow

    with open_parquet(path, filesystem) as file:
        batch = next(file.iter_batches(batch_size=rows), None)
        table = pyarrow.Table.from_batches([batch] if batch is not None else [], file.schema_arrow)
        return conform(table, file_schema(file))


def markdown(table: pyarrow.Table) -> str:
    """Return a small table as Markdown. Cells are cut at 80 characters.

    Parameters
    ----------
    table
        The table.
    """
    header = "| " + " | ".join(map(_cell, table.column_names)) + " |"
    rule = "|" + " --- |" * table.num_columns
    rows = ["| " + " | ".join(_cell(value) for value in row.values()) + " |" for row in table.to_pylist()]
    return "\n".join([header, rule, *rows])


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    text = text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("\r", " ")
    return text[:80] + "…" if len(text) > 80 else text
