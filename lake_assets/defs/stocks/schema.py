"""The columns of the exchange's files. All schemas are derived from one list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow
    from dagster import TableColumn, TableSchema


@dataclass(frozen=True, slots=True)
class Column:
    """A column: name, type, description, whether it is required, and the constraints of its values."""

    name: str
    type: str
    description: str
    required: bool = True
    constraints: tuple[str, ...] = ()


COLUMNS = (
    Column("ISIN", "string", "International Securities Identification Number", constraints=("ISO 6166 check digit",)),
    Column("Mnemonic", "string", "Ticker at the exchange", required=False),
    Column("SecurityDesc", "string", "Description of the security", required=False),
    Column("SecurityType", "string", "Kind of security, such as Common stock, ETF", required=False),
    Column("Currency", "string", "Currency of the prices, ISO 4217", constraints=("three capital letters",)),
    Column("SecurityID", "int", "The exchange's number of the security"),
    Column("Date", "date", "Trading day"),
    Column("Time", "string", "Minute that the row aggregates, hh:mm, UTC"),
    Column("StartPrice", "double", "Price of the minute's first trade", constraints=("MinPrice <= it <= MaxPrice",)),
    Column("MaxPrice", "double", "Highest price of the minute"),
    Column("MinPrice", "double", "Lowest price of the minute"),
    Column("EndPrice", "double", "Price of the minute's last trade", constraints=("MinPrice <= it <= MaxPrice",)),
    Column("TradedVolume", "double", "Traded volume, in units of the security", constraints=(">= 0",)),
    Column("NumberOfTrades", "int", "Number of trades", constraints=(">= 0",)),
)
KEY = ("ISIN", "Date", "Time")
HEADER = ",".join(column.name for column in COLUMNS)
"""The first line of every file."""

_QUARANTINE = (
    Column("file", "string", "Name of the file"),
    Column("line", "bigint", "Line in the file, the header is line 1"),
    Column("reason", "string", "Why the row is not among the bars"),
    Column("raw", "string", "The line; bytes that are not UTF-8 are replaced"),
)


def arrow_schema() -> pyarrow.Schema:
    """Return the schema of the bars. Their texts repeat, so they are dictionaries."""
    import pyarrow as pa

    return _arrow_schema(COLUMNS, pa.dictionary(pa.int32(), pa.string()))


def quarantine_schema() -> pyarrow.Schema:
    """Return the schema of the quarantined rows."""
    import pyarrow as pa

    return _arrow_schema(_QUARANTINE, pa.string())


def table_schema(key: tuple[str, ...] = KEY) -> TableSchema:
    """Return the bars' columns with descriptions and constraints, for Dagster.

    Parameters
    ----------
    key
        The columns that are unique together.
    """
    # Workers of a cluster have no Dagster.
    from dagster import TableConstraints, TableSchema

    return TableSchema(
        columns=_table_columns(COLUMNS), constraints=TableConstraints(other=[f"unique ({', '.join(key)})"])
    )


def quarantine_table_schema() -> TableSchema:
    """Return the quarantined rows' columns, for Dagster."""
    from dagster import TableSchema

    return TableSchema(columns=_table_columns(_QUARANTINE))


def _arrow_schema(columns: tuple[Column, ...], text: pyarrow.DataType) -> pyarrow.Schema:
    import pyarrow as pa

    kinds = {"string": text, "date": pa.date32(), "double": pa.float64(), "int": pa.int32(), "bigint": pa.int64()}
    return pa.schema([(column.name, kinds[column.type]) for column in columns])


def _table_columns(columns: tuple[Column, ...]) -> list[TableColumn]:
    from dagster import TableColumn, TableColumnConstraints

    return [
        TableColumn(
            column.name,
            type=column.type,
            description=column.description,
            constraints=TableColumnConstraints(nullable=not column.required, other=list(column.constraints)),
        )
        for column in columns
    ]
