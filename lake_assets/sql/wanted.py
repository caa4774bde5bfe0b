"""The rows and columns that a query wants of a source. Arrow tells from DuckDB's filter which parts can have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset
from pyarrow.fs import LocalFileSystem

if TYPE_CHECKING:
    import pyarrow

ds: Any = pyarrow.dataset  # its types are known to no checker

Expression = Any
"""An expression of Arrow over the columns of a source."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The rows that a query wants.

    Parameters
    ----------
    schema
        The columns of the source.
    filter
        What is true of the rows. None if all are wanted. It may name columns that the query does not select.
    constants
        The texts and integers in the query: where it compares with one of them, its filter may change.
    """

    schema: pyarrow.Schema
    filter: Expression | None = None
    constants: Sequence[str | int] = ()

    def parts(self, held: Sequence[Expression]) -> list[int]:
        """Return the numbers of the parts of the source that can have such rows, in their order.

        Parameters
        ----------
        held
            What is true of all rows of each part.
        """
        return list(range(len(held))) if self.filter is None else _parts(self.schema, held, self.filter)

    def columns(self, selected: Sequence[str]) -> list[str]:
        """Return the columns to read, in the order of the source: the selected ones, and those of the filter.

        Parameters
        ----------
        selected
            The columns that the query selects.
        """
        return [name for name in self.schema.names if name in selected or self._filters_by(name)]

    def _filters_by(self, name: str) -> bool:
        if self.filter is None:
            return False
        try:
            _parts(self.schema.remove(self.schema.get_field_index(name)), [], self.filter)
        except pa.ArrowInvalid:  # The filter is no expression over the other columns.
            return True
        return False


def _parts(schema: pyarrow.Schema, held: Sequence[Expression], wanted: Expression) -> list[int]:
    # A part is a file to Arrow. It opens none of them here, so their names are numbers.
    file_format, nowhere = ds.IpcFileFormat(), LocalFileSystem()
    files = [file_format.make_fragment(str(at), nowhere, partition_expression=true) for at, true in enumerate(held)]
    dataset = ds.FileSystemDataset(files, schema, file_format, nowhere)
    return sorted(int(file.path) for file in dataset.get_fragments(filter=wanted))
