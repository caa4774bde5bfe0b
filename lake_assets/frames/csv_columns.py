"""The columns of a CSV file: their names and their types, as the manifest records them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow

    from lake_assets.frames.hive_folders import PartitionValues


_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")


@dataclass(frozen=True, slots=True)
class CsvColumn:
    """A column of a CSV file.

    Parameters
    ----------
    name
        Name of the column.
    type
        Name of its logical type.
    nulls
        Whether an empty field is null. Otherwise, it is an empty text.
    quoted
        Whether a field that is empty and quoted is an empty text. Then both are told apart.
    """

    name: str
    type: str
    nulls: bool
    quoted: bool = False

    def recorded(self) -> dict[str, object]:
        """Return what the manifest records."""
        told: dict[str, object] = {"name": self.name, "type": self.type, "nulls": self.nulls}
        return {**told, "quoted": True} if self.quoted else told

    @property
    def arrow_type(self) -> pyarrow.DataType:
        """The stored type of the column."""
        import pyarrow as pa

        found = _DECIMAL.fullmatch(self.type)
        if found:
            return pa.decimal128(int(found[1]), int(found[2]))
        simple = {
            "null": pa.null(),
            "boolean": pa.bool_(),
            "float32": pa.float32(),
            "float64": pa.float64(),
            "text": pa.string(),
            "date": pa.date32(),
            "timestamp": pa.timestamp("us"),
            "instant": pa.timestamp("us", "UTC"),
            **{f"int{bits}": getattr(pa, f"int{bits}")() for bits in (8, 16, 32, 64)},
        }
        return simple[self.type]


@dataclass(frozen=True, slots=True)
class CsvSource:
    """A CSV file to be read.

    Parameters
    ----------
    name
        File name, for errors.
    path
        Path of the file.
    uri
        URI of the file, for errors.
    columns
        The columns with their types; or names only for a raw file, whose columns are all text.
    partition
        The partition columns, with their values.
    """

    name: str
    path: str
    uri: str
    columns: tuple[CsvColumn | str, ...]
    partition: PartitionValues

    @property
    def has_types(self) -> bool:
        """Whether the types of its columns are known."""
        return all(isinstance(column, CsvColumn) for column in self.columns)

    @property
    def quoted(self) -> bool:
        """Whether quotes tell empty texts from nulls. So a file of one column ends each record with a comma."""
        return any(isinstance(column, CsvColumn) and column.quoted for column in self.columns)


def csv_schema(file: CsvSource) -> pyarrow.Schema:
    """Return the schema of a file in the stored types, without the partition columns.

    Parameters
    ----------
    file
        The file.
    """
    import pyarrow as pa

    columns = (
        (column, pa.string()) if isinstance(column, str) else (column.name, column.arrow_type)
        for column in file.columns
    )
    return pa.schema([(name, kind) for name, kind in columns if name not in file.partition])


def typed_schema(columns: Iterable[CsvColumn]) -> pyarrow.Schema:
    """Return the schema of columns in the stored types.

    Parameters
    ----------
    columns
        The columns.
    """
    import pyarrow as pa

    return pa.schema([(column.name, column.arrow_type) for column in columns])
