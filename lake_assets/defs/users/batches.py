"""The tasks that make the rows of a batch of users."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lake_assets.compute.row_groups import RowGroups, row_groups_of
from lake_assets.defs.users.generator import generate
from lake_assets.defs.users.schema import arrow_schema
from lake_assets.frames.conform import conform, refuse_beyond_calendar
from lake_assets.frames.parquet_files import parquet_files

if TYPE_CHECKING:
    import pyarrow

    from lake_assets.lake.contract import Snapshot


@dataclass(frozen=True, slots=True)
class GeneratedBatch:
    """Generates a batch."""

    batch: str
    size: int = 0

    def batches(self, counts: Counter[str]) -> Iterator[pyarrow.RecordBatch]:
        """Yield its rows."""
        del counts
        yield from generate(self.batch).cast(arrow_schema()).to_batches()


def as_users(rows: pyarrow.Table) -> pyarrow.Table:
    """Return rows of a file with the columns of users, or some of them, in the types of users.

    Raises
    ------
    RefusedColumn
        A time is before the year 1 or after 9999.
    """
    import pyarrow as pa

    users = conform(rows, pa.schema([arrow_schema().field(name) for name in rows.column_names]))
    refuse_beyond_calendar(users)
    return users


def stored_tasks(snapshot: Snapshot, columns: Sequence[str]) -> list[RowGroups]:
    """Return the tasks that read some columns of a batch in the lake.

    Parameters
    ----------
    snapshot
        The batch.
    columns
        The columns to read.
    """
    names = parquet_files(snapshot.filesystem, snapshot.root)
    paths = [f"{snapshot.root}/{name}" for name in names]
    return [task for path in paths for task in row_groups_of(snapshot.filesystem, path, columns, as_users)]
