"""Writes rows as the files of an asset: Parquet, ORC or CSV."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lake_assets.compute.parts import Part, merged
from lake_assets.content.version import Content, ContentDigest
from lake_assets.frames.csv_writing import CsvWriter, refuse_beyond_csv
from lake_assets.frames.file_formats import CSV, ORC, PARQUET
from lake_assets.frames.hive_folders import PartitionValues, folder
from lake_assets.frames.orc import OrcWriter, refuse_beyond_orc
from lake_assets.frames.partition_columns import split
from lake_assets.frames.rows import Rows, joined

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet as pq
    from pyarrow.fs import FileSystem


_BYTES = 256 << 20
"""The size of an ORC or CSV file beyond which there is another one, since a worker of Spark reads a file as a whole."""
_MOST_OPEN = 64
"""The maximal number of files that a write has open at once, however many partitions there are."""


@dataclass(frozen=True, slots=True)
class ParquetTarget:
    """The folder where a frame is written.

    Parameters
    ----------
    filesystem
        File system of the folder.
    root
        Path of the folder. It exists and is empty.
    partitions
        Partition key to its partition columns; None for an unpartitioned frame.
    format
        ``parquet``, ``orc`` or ``csv``.
    """

    filesystem: FileSystem
    root: str
    partitions: Mapping[str, PartitionValues] | None
    format: str = PARQUET

    @property
    def folders(self) -> dict[str, str]:
        """Partition key to its folder below the root; ``{"": ""}`` for an unpartitioned frame."""
        if self.partitions is None:
            return {"": ""}
        return {key: folder(values) for key, values in self.partitions.items()}

    @property
    def places(self) -> dict[str, str]:
        """Partition key to the path of its folder."""
        return {key: f"{self.root}/{below}".rstrip("/") for key, below in self.folders.items()}


def write_rows(rows: Rows, target: ParquetTarget) -> tuple[pyarrow.Schema, dict[str, Content]]:
    """Write rows, with one file per partition, or several if the rows of many partitions are mixed.

    Parameters
    ----------
    rows
        The rows. For several partitions, they must have the partition columns.
    target
        Where the files go.

    Returns
    -------
    tuple
        The schema of the files, and for each partition key what was written. The key is ``""`` for an unpartitioned
        frame.

    Raises
    ------
    RefusedColumn
        The format cannot hold a column.
    ValueError
        Some rows belong to none of the partitions, or a partition column is missing.
    """
    schema = next(iter(split(rows.schema.empty_table(), target.partitions).values())).schema
    refuse_unheld(schema, target.format)
    places = {key: Place(target.filesystem, path, target.format) for key, path in target.places.items()}
    parts = write_parts(rows, places, target.partitions, even_empty=True)
    return schema, {key: merged(schema, found)[0] for key, found in parts.items()}


def refuse_unheld(schema: pyarrow.Schema, file_format: str) -> None:
    """Refuse columns of types that a format cannot hold.

    Parameters
    ----------
    schema
        The columns.
    file_format
        The format.

    Raises
    ------
    RefusedColumn
        There is such a column.
    """
    if file_format == ORC:
        refuse_beyond_orc(schema)
    elif file_format == CSV:
        refuse_beyond_csv(schema)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the files of a partition go, and their names.

    Parameters
    ----------
    filesystem
        File system of the folder.
    folder
        Path of the folder, which is made when the first file is written.
    format
        The format of the files.
    name
        What the names of the files begin with.
    """

    filesystem: FileSystem
    folder: str
    format: str
    name: str = "part"


def write_parts(
    rows: Rows, places: Mapping[str, Place], partitions: Mapping[str, PartitionValues] | None, *, even_empty: bool
) -> dict[str, list[Part]]:
    """Write rows, and return the files of each partition.

    Parameters
    ----------
    rows
        The rows. For several partitions, they must have the partition columns.
    places
        Partition key to where its files go.
    partitions
        Partition key to its partition columns; None for an unpartitioned frame.
    even_empty
        Whether a partition without rows has a file.

    Raises
    ------
    RefusedColumn
        The format cannot hold a value.
    MisplacedRows
        Some rows belong to none of the partitions.
    """
    schema = next(iter(split(rows.schema.empty_table(), partitions).values())).schema
    with ExitStack() as stack:
        writers = {
            key: stack.enter_context(_PartitionWriter(place, schema, even_empty)) for key, place in places.items()
        }
        opened: OrderedDict[str, None] = OrderedDict()
        for table in joined(rows.tables()):
            for key, part in split(table, partitions).items():
                if not part.num_rows:
                    continue
                opened[key] = None
                opened.move_to_end(key)
                if len(opened) > _MOST_OPEN:
                    writers[opened.popitem(last=False)[0]].close_file()
                writers[key].write(part)
    return {key: writer.parts for key, writer in writers.items()}


class _PartitionWriter:
    """Writes the rows of one partition. After the file was closed, further rows go to another file."""

    def __init__(self, place: Place, schema: pyarrow.Schema, even_empty: bool) -> None:
        self._place = place
        self._schema = schema
        self._even_empty = even_empty
        self._digest = ContentDigest(schema)
        self._file: pq.ParquetWriter | OrcWriter | CsvWriter | None = None
        self.parts: list[Part] = []

    def __enter__(self) -> _PartitionWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._even_empty and not self.parts and self._file is None:
            self._file = self._open()
        self.close_file()

    def write(self, table: pyarrow.Table) -> None:
        """Add rows."""
        if self._file is None:
            self._file = self._open()
        self._file.write_table(table)
        for batch in table.to_batches():
            self._digest.update(batch)
        if isinstance(self._file, (OrcWriter, CsvWriter)) and self._file.size > _BYTES:
            self.close_file()

    def close_file(self) -> None:
        """Close the current file, if there is one."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self.parts.append(Part(self._name, self._digest.rows, self._digest.sums, {}))
            self._digest = ContentDigest(self._schema)

    @property
    def _name(self) -> str:
        """Name of the current file."""
        return f"{self._place.name}-{len(self.parts):05d}.{self._place.format}"

    def _open(self) -> pq.ParquetWriter | OrcWriter | CsvWriter:
        import pyarrow.parquet as pq

        filesystem, path = self._place.filesystem, f"{self._place.folder}/{self._name}"
        if not self.parts:
            filesystem.create_dir(self._place.folder, recursive=True)
        if self._place.format == ORC:
            return OrcWriter(filesystem, path, self._schema)
        if self._place.format == CSV:
            return CsvWriter(filesystem, path, self._schema)
        # Without Arrow's own schema, so that the files of all engines are alike.
        writer = pq.ParquetWriter(path, self._schema, filesystem=filesystem, store_schema=False)
        writer.add_key_value_metadata(self._schema.metadata or {})
        return writer
