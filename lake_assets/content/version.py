"""Content versions: a digest of typed rows. Equal rows have equal versions, whichever library or engine wrote them.

Each row has two 64-bit hashes of all its columns. A version is computed from the two sums of the hashes, the number of
rows, and the columns. So the order of rows and columns, files, batches and Arrow's variants of a type do not matter.
Everything else does: names, logical types, each value, which values are together in a row, and how often a row occurs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from lake_assets.content.logical_types import is_any_list, logical_schema

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet as pq
    from pyarrow.fs import FileSystem

ALGORITHM = "rows1"
"""The name in front of a version. A change of the algorithm that changes versions needs a new name."""

_ROWS = 16_384
_BYTES = 8 << 20
"""Rows are hashed in parts that fit into a processor's cache: at most so many rows, and so many bytes."""


class Content(NamedTuple):
    """The number of rows, and their version.

    Parameters
    ----------
    rows
        The number of rows.
    version
        The version, with the name of the algorithm.
    """

    rows: int
    version: str


class ContentDigest:
    """The digest of rows that are added in batches.

    Parameters
    ----------
    schema
        The schema of all batches.

    Attributes
    ----------
    rows
        The number of rows that were added.
    names
        The column names, in the order of the batches.

    Raises
    ------
    NoLogicalType
        A column has no logical type. The message names it.
    ValueError
        Two columns have the same name.

    Examples
    --------
    >>> digest = ContentDigest(table.schema)
    >>> for batch in table.to_batches():
    ...     digest.update(batch)
    >>> digest.version()
    'rows1:…'
    """

    def __init__(self, schema: pyarrow.Schema) -> None:
        self.rows = 0
        self.names = schema.names
        self._schema = logical_schema(schema)
        self._sums = [0, 0]

    def update(self, batch: pyarrow.RecordBatch) -> None:
        """Add the rows of a batch.

        Parameters
        ----------
        batch
            The rows.
        """
        from lake_assets.content.value_hashes import hashes_by_part, row_hashes

        if batch.schema.names != self.names:
            raise ValueError(f"a batch has the columns {batch.schema.names}, not {self.names}")
        self.rows += batch.num_rows
        step = max(1, min(_ROWS, batch.num_rows * _BYTES // max(1, batch.nbytes)))
        columns = [hashes_by_part(column) for column in batch.columns]
        for start in range(0, batch.num_rows, step):
            size = min(step, batch.num_rows - start)
            rows = row_hashes(self.names, (part(start, size) for part in columns), size)
            for index, hashes in enumerate(rows):
                self._sums[index] = (self._sums[index] + int(hashes.sum())) % 2**64

    @property
    def sums(self) -> tuple[int, int]:
        """The sums of the rows' hashes. With the number of rows, they are what another digest needs to add them."""
        return self._sums[0], self._sums[1]

    def add(self, rows: int, sums: tuple[int, int]) -> None:
        """Add the rows of another digest, with the same columns.

        Parameters
        ----------
        rows
            The number of rows.
        sums
            The sums of their hashes.
        """
        self.rows += rows
        self._sums = [(mine + other) % 2**64 for mine, other in zip(self._sums, sums, strict=True)]

    def version(self) -> str:
        """Return the version of the rows that were added, with the name of the algorithm."""
        described = f"{self._schema}\n{self.rows}\n{self._sums[0]}\n{self._sums[1]}"
        return f"{ALGORITHM}:{hashlib.sha256(described.encode()).hexdigest()[:32]}"


def algorithm(version: str) -> str:
    """Return the name of a version's algorithm; empty for old versions, which have no name.

    Parameters
    ----------
    version
        The version.
    """
    return version.rpartition(":")[0]


def version_of_files(paths: Iterable[str], filesystem: FileSystem) -> Content:
    """Return the number and version of the rows in Parquet files. They are read in bounded memory.

    Parameters
    ----------
    paths
        Paths of the files.
    filesystem
        File system of the files.

    Raises
    ------
    ValueError
        There is no file, or two files differ in the names or logical types of their columns.
    """
    import pyarrow.parquet as pq

    digest: ContentDigest | None = None
    columns = ""
    for path in paths:
        metadata = pq.read_metadata(path, filesystem=filesystem)
        # In microseconds, INT96 timestamps may be from the year 1 to 9999. Dictionary columns stay encoded.
        with pq.ParquetFile(
            path,
            filesystem=filesystem,
            metadata=metadata,
            coerce_int96_timestamp_unit="us",
            read_dictionary=_dictionaries(metadata),
        ) as file:
            schema = _with_instants(file)
            described = logical_schema(schema)
            if digest is None:
                digest, columns = ContentDigest(schema), described
            elif described != columns:
                raise ValueError(f"{path} has the columns {described}, but the files before it have {columns}")
            size = sum(group.total_byte_size for group in _groups(metadata))
            step = max(1, min(4 * _ROWS, metadata.num_rows * 4 * _BYTES // max(1, size)))
            for batch in file.iter_batches(batch_size=step):
                digest.update(batch.select(digest.names))
    if digest is None:
        raise ValueError("there are no files to compute a version of")
    return Content(digest.rows, digest.version())


def _groups(metadata: pq.FileMetaData) -> list[pq.RowGroupMetaData]:
    return [metadata.row_group(number) for number in range(metadata.num_row_groups)]


def _dictionaries(metadata: pq.FileMetaData) -> list[str]:
    """Return the text columns that have a dictionary in every row group of a file.

    A text within a struct is left out, since pyarrow cannot read its dictionaries across row groups.
    """
    columns = [(index, metadata.schema.column(index)) for index in range(metadata.num_columns)]
    return [
        column.path
        for index, column in columns
        if column.logical_type.type == "STRING" and column.max_repetition_level == 0 and column.path == column.name
        if all(group.column(index).has_dictionary_page for group in _groups(metadata))
    ]


def _with_instants(file: pq.ParquetFile) -> pyarrow.Schema:
    """Return a file's schema with INT96 columns as instants. Only Spark writes INT96, and only for instants."""
    import pyarrow

    physical = [file.schema.column(index).physical_type for index in range(len(file.schema))]
    schema = file.schema_arrow
    if "INT96" not in physical:
        return schema
    leaves = iter(physical)
    return pyarrow.schema([field.with_type(_instants(field.type, leaves)) for field in schema])


def _instants(kind: pyarrow.DataType, leaves: Iterator[str]) -> pyarrow.DataType:
    """Return a type with instants for the leaves of the physical type INT96. ``leaves`` are in depth-first order."""
    import pyarrow

    if isinstance(kind, pyarrow.StructType):
        fields = [kind.field(index) for index in range(kind.num_fields)]
        return pyarrow.struct([field.with_type(_instants(field.type, leaves)) for field in fields])
    if isinstance(kind, pyarrow.MapType):
        return pyarrow.map_(_instants(kind.key_type, leaves), _instants(kind.item_type, leaves))
    if is_any_list(kind):
        return pyarrow.list_(_instants(kind.value_type, leaves))
    return pyarrow.timestamp("us", "UTC") if next(leaves) == "INT96" else kind
