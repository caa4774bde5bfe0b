"""Tasks that read row groups of Parquet files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lake_assets.compute.lines import RANGE_BYTES

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.fs import FileSystem

    Convert = Callable[[pyarrow.Table], pyarrow.Table]

_ROWS = 1 << 17


@dataclass(frozen=True, slots=True)
class RowGroups:
    """Reads some row groups of a file, and converts their rows.

    Parameters
    ----------
    filesystem
        File system of the file.
    path
        Path of the file.
    groups
        The row groups.
    columns
        The columns to read.
    convert
        Makes the rows of the frame from those of the file.
    size
        The size of the row groups, in bytes, before compression.
    """

    filesystem: FileSystem
    path: str
    groups: range
    columns: Sequence[str]
    convert: Convert
    size: int

    def batches(self, counts: Counter[str]) -> Iterator[pyarrow.RecordBatch]:
        """Yield the rows, some hundred thousand at a time.

        Parameters
        ----------
        counts
            To count what it sees on the way.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        del counts
        # In microseconds, the timestamps of old Spark files (INT96) may be from the year 1 to 9999.
        with pq.ParquetFile(self.path, filesystem=self.filesystem, coerce_int96_timestamp_unit="us") as file:
            for batch in file.iter_batches(_ROWS, row_groups=list(self.groups), columns=list(self.columns)):
                yield from self.convert(pa.Table.from_batches([batch])).combine_chunks().to_batches()


def row_groups_of(
    filesystem: FileSystem, path: str, columns: Sequence[str], convert: Convert, size: int = RANGE_BYTES
) -> list[RowGroups]:
    """Return the tasks that read a Parquet file. Each reads row groups of a certain size, or one that is larger.

    Parameters
    ----------
    filesystem
        File system of the file.
    path
        Path of the file.
    columns
        The columns to read.
    convert
        Makes the rows of the frame from those of the file.
    size
        The size of a task's row groups, in bytes, before compression.
    """
    import pyarrow.parquet as pq

    footer = pq.read_metadata(path, filesystem=filesystem)
    tasks: list[RowGroups] = []
    start = held = 0
    for group in range(footer.num_row_groups):
        held += footer.row_group(group).total_byte_size
        if held >= size or group == footer.num_row_groups - 1:
            tasks.append(RowGroups(filesystem, path, range(start, group + 1), columns, convert, held))
            start, held = group + 1, 0
    return tasks
