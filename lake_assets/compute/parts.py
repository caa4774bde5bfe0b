"""Tasks, each of which makes some of the rows of a frame, and the files that they write. Their results merge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from lake_assets.content.version import Content, ContentDigest

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet as pq
    from pyarrow.fs import FileSystem


_AT_ONCE = 1 << 20
"""Values of a column that are encoded at a time. By the thousand, which is usual, a write takes a quarter longer."""


class Task(Protocol):
    """Makes rows, in this process or in another one. It holds what it needs for that, and little else."""

    @property
    def size(self) -> int:
        """The size of what it reads, in bytes."""
        ...

    def batches(self, counts: Counter[str]) -> Iterator[pyarrow.RecordBatch]:
        """Yield the rows. Each batch becomes a row group.

        Parameters
        ----------
        counts
            To count what it sees on the way, such as lines.
        """
        ...


@dataclass(frozen=True, slots=True)
class NoRows:
    """The task of a partition without rows."""

    size: int = 0

    def batches(self, counts: Counter[str]) -> Iterator[pyarrow.RecordBatch]:
        """Yield nothing.

        Parameters
        ----------
        counts
            To count what it sees on the way.
        """
        del counts
        return iter(())


@dataclass(frozen=True, slots=True)
class Part:
    """What a task wrote.

    Parameters
    ----------
    name
        Name of the file; empty if there was nothing to write.
    rows
        The number of rows.
    sums
        The sums of the rows' hashes, as of :class:`~lake_assets.content.version.ContentDigest`.
    counts
        What the task counted.
    """

    name: str
    rows: int
    sums: tuple[int, int]
    counts: Mapping[str, int]

    @staticmethod
    def parse(answer: Mapping[str, Any]) -> Part:
        """Return the part in a worker's answer.

        Parameters
        ----------
        answer
            The part as a dictionary, after a way through JSON.
        """
        first, second = answer["sums"]
        return Part(answer["name"], answer["rows"], (first, second), answer["counts"])


@dataclass(frozen=True, slots=True)
class Write:
    """Writes the rows of one task as one Parquet file.

    Parameters
    ----------
    task
        Makes the rows.
    schema
        The columns of every batch.
    filesystem
        File system of the folder.
    folder
        The folder, which exists.
    name
        Name of the file, without its ending.
    even_empty
        Whether a file is written even if there are no rows.
    """

    task: Task
    schema: pyarrow.Schema
    filesystem: FileSystem
    folder: str
    name: str
    even_empty: bool

    def run(self, suffix: str = "") -> Part:
        """Write the file, and return what was written.

        Parameters
        ----------
        suffix
            Ends the name of the file, before ``.parquet``: it makes the name that of one attempt.
        """
        counts: Counter[str] = Counter()
        digest = ContentDigest(self.schema)
        name = f"{self.name}{suffix}.parquet"
        writer: pq.ParquetWriter | None = None
        try:
            for batch in self.task.batches(counts):
                if batch.num_rows:
                    writer = writer or self._open(name)
                    writer.write_batch(batch, row_group_size=batch.num_rows)
                    digest.update(batch)
            if self.even_empty and writer is None:
                writer = self._open(name)
        finally:
            if writer is not None:
                writer.close()
        return Part(name if writer is not None else "", digest.rows, digest.sums, dict(counts))

    def _open(self, name: str) -> pq.ParquetWriter:
        import pyarrow.parquet as pq

        # Without Arrow's own schema, so that the files of all engines are alike.
        path = f"{self.folder}/{name}"
        return pq.ParquetWriter(
            path, self.schema, filesystem=self.filesystem, store_schema=False, write_batch_size=_AT_ONCE
        )


def merged(schema: pyarrow.Schema, parts: Iterable[Part]) -> tuple[Content, Mapping[str, int]]:
    """Return the number and version of the rows of parts, and the sums of what their tasks counted.

    Parameters
    ----------
    schema
        The columns of the rows.
    parts
        What the tasks wrote.
    """
    digest = ContentDigest(schema)
    counts: Counter[str] = Counter()
    for part in parts:
        digest.add(part.rows, part.sums)
        counts.update(part.counts)
    return Content(digest.rows, digest.version()), counts


def remove_others(filesystem: FileSystem, folder: str, kept: Container[str]) -> None:
    """Remove the files of attempts that did not count.

    Parameters
    ----------
    filesystem
        File system of the folder.
    folder
        The folder.
    kept
        The names of the files that stay.
    """
    from pyarrow.fs import FileSelector

    for info in filesystem.get_file_info(FileSelector(folder)):
        if info.is_file and info.base_name not in kept:
            filesystem.delete_file(info.path)
