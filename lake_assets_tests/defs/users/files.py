"""Files of users for tests: generated ones, with some things changed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as pq

from lake_assets.defs.users.generator import generate
from lake_assets.defs.users.schema import arrow_schema
from lake_assets.defs.users.source import UsersSource


def changed(batch: str, **values: Any) -> pyarrow.Table:
    """Return a generated batch whose first row has other values."""
    table = generate(batch)
    for name, value in values.items():
        column = [value, *table[name].to_pylist()[1:]]
        table = table.set_column(table.schema.get_field_index(name), name, pyarrow.array(column, table[name].type))
    return table


def add(folder: Path, batch: str, table: pyarrow.Table | None = None) -> Path:
    """Write a batch's file as the sample is: timestamps are INT96."""
    folder.mkdir(exist_ok=True)
    file = folder / f"{batch}.parquet"
    pq.write_table(generate(batch) if table is None else table, file, use_deprecated_int96_timestamps=True)
    return file


def read(source: UsersSource, batch: str, folder: Path) -> pyarrow.Table:
    """Return the rows of a batch."""
    batches = [rows for task in source.read(batch, folder) for rows in task.batches(Counter())]
    return pyarrow.Table.from_batches(batches, arrow_schema())
