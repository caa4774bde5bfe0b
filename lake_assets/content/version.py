"""Content versions: a digest of typed rows, the same for the same rows whichever library or engine wrote them.

Each row has two 64-bit hashes that bind all its columns. A version is made of the two sums of these hashes, the number
of rows, and the columns. So the order of rows and columns, files, batches and Arrow's variants of a type do not matter.
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
"""The name in front of a version. Whatever changes what equal rows hash to takes another."""

_ROWS = 16_384
_BYTES = 8 << 20
"""As many rows are hashed at a time as a processor's cache holds; of large rows, as many as take up so many bytes."""


class Content(NamedTuple):
    """The number of some rows, and their version."""

    rows: int
    version: str


class ContentDigest:
    """The digest of rows that are seen a batch at a time.

    Parameters
    ----------
    schema
        Of all batches.

    Attributes
    ----------
    rows
        Rows seen so far.
    names
        The columns, in the order that batches have.

    Raises
    ------
    NoLogicalType
        A column has a type that the lake does not know; it is named.
    ValueError
        Two columns have one name.

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
        """Take in the rows of a batch."""
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

    def version(self) -> str:
        """Return the version of the rows seen so far, with the name of the algorithm."""
        described = f"{self._schema}\n{self.rows}\n{self._sums[0]}\n{self._sums[1]}"
        return f"{ALGORITHM}:{hashlib.sha256(described.encode()).hexdigest()[:32]}"


def algorithm(version: str) -> str:
    """Return the name of the algorithm that made a version; those of before there were names have none."""
    return version.rpartition(":")[0]


def version_of_files(paths: Iterable[str], filesystem: FileSystem) -> Content:
    """Return the rows and the version of what Parquet files hold together, read in bounded memory.

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
        # INT96 reaches from the year 1 to 9999 in microseconds only. What is a dictionary in the file stays one.
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
                raise ValueError(f"{path} has the columns {described}, the files before it {columns}")
            size = sum(group.total_byte_size for group in _groups(metadata))
            step = max(1, min(4 * _ROWS, metadata.num_rows * 4 * _BYTES // max(1, size)))
            for batch in file.iter_batches(batch_size=step):
                digest.update(batch.select(digest.names))
    if digest is None:
        raise ValueError("there are no files, so that there is no version")
    return Content(digest.rows, digest.version())


def _groups(metadata: pq.FileMetaData) -> list[pq.RowGroupMetaData]:
    return [metadata.row_group(number) for number in range(metadata.num_row_groups)]


def _dictionaries(metadata: pq.FileMetaData) -> list[str]:
    """Return the columns of texts that have a dictionary in all of a file."""
    columns = [(index, metadata.schema.column(index)) for index in range(metadata.num_columns)]
    return [
        column.path
        for index, column in columns
        if column.logical_type.type == "STRING" and column.max_repetition_level == 0
        if all(group.column(index).has_dictionary_page for group in _groups(metadata))
    ]


def _with_instants(file: pq.ParquetFile) -> pyarrow.Schema:
    """Return a file's schema, with instants where it has INT96: only Spark writes it, and only for instants."""
    import pyarrow

    physical = [file.schema.column(index).physical_type for index in range(len(file.schema))]
    schema = file.schema_arrow
    if "INT96" not in physical:
        return schema
    leaves = iter(physical)
    return pyarrow.schema([field.with_type(_instants(field.type, leaves)) for field in schema])


def _instants(kind: pyarrow.DataType, leaves: Iterator[str]) -> pyarrow.DataType:
    """Return a type with instants where the physical type of a leaf, from left to right, is INT96."""
    import pyarrow

    if isinstance(kind, pyarrow.StructType):
        fields = [kind.field(index) for index in range(kind.num_fields)]
        return pyarrow.struct([field.with_type(_instants(field.type, leaves)) for field in fields])
    if isinstance(kind, pyarrow.MapType):
        return pyarrow.map_(_instants(kind.key_type, leaves), _instants(kind.item_type, leaves))
    if is_any_list(kind):
        return pyarrow.list_(_instants(kind.value_type, leaves))
    return pyarrow.timestamp("us", "UTC") if next(leaves) == "INT96" else kind
