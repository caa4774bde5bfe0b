"""A preview of stored rows."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from lake_assets.frames.conform import conform
from lake_assets.frames.parquet_files import file_schema, open_parquet
from lake_assets.frames.rows import Rows
from lake_assets.text.printable import printable

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.fs import FileSystem

ROWS = 5
_LONGEST = 80


def preview(filesystem: FileSystem, path: str) -> pyarrow.Table:
    """Return the first rows of a Parquet file.

    Parameters
    ----------
    filesystem
        File system of the file.
    path
        Path of the file.
    """
    import pyarrow

    with open_parquet(path, filesystem) as file:
        batch = next(file.iter_batches(batch_size=ROWS), None)
        table = pyarrow.Table.from_batches([batch] if batch is not None else [], file.schema_arrow)
        return conform(table, file_schema(file))


def first_rows(rows: Rows) -> pyarrow.Table:
    """Return the first rows.

    Parameters
    ----------
    rows
        The rows.
    """
    return next(iter(rows.tables()), rows.schema.empty_table()).slice(0, ROWS)


def as_texts(table: pyarrow.Table, hidden: Collection[str]) -> tuple[dict[str, str], list[dict[str, str | None]]]:
    """Return the columns and rows of a small table as printable texts. Values are cut at 80 characters.

    Parameters
    ----------
    table
        The table.
    hidden
        Names of columns that are left out. Case is ignored.

    Returns
    -------
    Column name to type, and for each row column name to value.
    """
    left_out = {name.casefold() for name in hidden}
    names = [name for name in table.column_names if name.casefold() not in left_out]
    columns = {printable(name): str(table.schema.field(name).type) for name in names}
    rows = [{printable(name): _text(table[name][row]) for name in names} for row in range(table.num_rows)]
    return columns, rows


def _text(value: pyarrow.Scalar) -> str | None:
    import pyarrow

    if not value.is_valid:
        return None
    try:
        shown = str(value.as_py())
    except (OverflowError, ValueError):
        # Python has no such value, such as a time after the year 9999.
        shown = " ".join(pyarrow.array([value], value.type).to_string().split())
        shown = shown.removeprefix("[ ").removesuffix(" ]")
    text = printable(shown)
    return text[:_LONGEST] + "…" if len(text) > _LONGEST else text
