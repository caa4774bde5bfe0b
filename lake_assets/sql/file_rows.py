"""Rows of files that DuckDB does not read itself, ORC and CSV, read file by file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow

    from lake_assets.sql.wanted import Expression, Wanted


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file, or the files of a folder.

    Parameters
    ----------
    values
        The partition columns, with their values.
    tables
        Returns the rows, with some of the columns.
    """

    values: Mapping[str, str]
    tables: Callable[[Sequence[str]], Iterator[pyarrow.Table]]


@dataclass(frozen=True, slots=True)
class FileRows:
    """The rows of files, as :class:`~lake_assets.sql.catalog.Batches`.

    Parameters
    ----------
    name
        Name of the asset, for errors.
    schema
        Their columns.
    parts
        The files.
    """

    name: str
    schema: pyarrow.Schema
    parts: Sequence[FilePart]

    def read(self, columns: Sequence[str], wanted: Wanted) -> Iterator[pyarrow.RecordBatch]:
        """Yield the rows of the files whose folders can have wanted ones.

        Parameters
        ----------
        columns
            The columns, in the order of the schema.
        wanted
            The rows that are wanted.

        Raises
        ------
        ValueError
            A file is damaged.
        """
        for number in wanted.parts([self._held(part) for part in self.parts]):
            try:
                for table in self.parts[number].tables(columns):
                    yield from table.to_batches()
            except (OSError, ValueError) as error:
                raise ValueError(f"{self.name} cannot be read: {error}") from error

    def _held(self, part: FilePart) -> Expression:
        import pyarrow.compute

        pc: Any = pyarrow.compute  # its functions are made at import: no checker knows them
        equal = [pc.field(name) == value for name, value in part.values.items() if name in self.schema.names]
        return reduce(and_, equal, pc.scalar(True))
