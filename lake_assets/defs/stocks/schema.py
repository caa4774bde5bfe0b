"""The columns of the exchange's files. All schemas are derived from one list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dagster import TableColumn, TableColumnConstraints, TableConstraints, TableSchema

if TYPE_CHECKING:
    from pyspark.sql.types import StructType


@dataclass(frozen=True, slots=True)
class Column:
    """A column: name, Spark type, description, whether it is required, and the constraints of its values."""

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


def spark_schema() -> StructType:
    """Return the schema of the bars."""
    return _spark_schema(COLUMNS)


def quarantine_schema() -> StructType:
    """Return the schema of the quarantined rows."""
    return _spark_schema(_QUARANTINE)


def table_schema(key: tuple[str, ...] = KEY) -> TableSchema:
    """Return the bars' columns with descriptions and constraints, for Dagster.

    Parameters
    ----------
    key
        The columns that are unique together.
    """
    return TableSchema(
        columns=_table_columns(COLUMNS), constraints=TableConstraints(other=[f"unique ({', '.join(key)})"])
    )


def quarantine_table_schema() -> TableSchema:
    """Return the quarantined rows' columns, for Dagster."""
    return TableSchema(columns=_table_columns(_QUARANTINE))


def _spark_schema(columns: tuple[Column, ...]) -> StructType:
    from pyspark.sql import types

    # Not parsed from DDL, which needs a running session.
    kinds = {
        "string": types.StringType(),
        "date": types.DateType(),
        "double": types.DoubleType(),
        "int": types.IntegerType(),
        "bigint": types.LongType(),
    }
    return types.StructType([types.StructField(column.name, kinds[column.type]) for column in columns])


def _table_columns(columns: tuple[Column, ...]) -> list[TableColumn]:
    return [
        TableColumn(
            column.name,
            type=column.type,
            description=column.description,
            constraints=TableColumnConstraints(nullable=not column.required, other=list(column.constraints)),
        )
        for column in columns
    ]
