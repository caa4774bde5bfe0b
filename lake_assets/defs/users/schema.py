"""The columns of a file of users. All schemas are derived from one list."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow
    from dagster import TableSchema


@dataclass(frozen=True, slots=True)
class Column:
    """A column: name, type and description. All columns are nullable."""

    name: str
    type: str
    description: str


COLUMNS = (
    Column("registration_dttm", "timestamp", "Moment of registration, UTC"),
    Column("id", "int", "Number of the user in its batch"),
    Column("first_name", "string", "First name"),
    Column("last_name", "string", "Last name"),
    Column("email", "string", "E-mail address"),
    Column("gender", "string", "Female, Male, or empty"),
    Column("ip_address", "string", "Address that the user registered from"),
    Column("cc", "string", "Number of the credit card, or empty"),
    Column("country", "string", "Country, by its English name"),
    Column("birthdate", "string", "Date of birth, month/day/year without leading zeros, or empty"),
    Column("salary", "double", "Yearly salary, in USD"),
    Column("title", "string", "Job title, or empty"),
    Column("comments", "string", "What the user wrote"),
)
PII = ("ip_address", "birthdate", "salary", "email")
"""Columns that `users_without_pii` drops by default."""
PERSONAL = (*PII, "first_name", "last_name", "gender", "cc", "title", "comments")
"""Columns that are about a person. Their values are shown nowhere in Dagster."""


def arrow_schema(without: Collection[str] = ()) -> pyarrow.Schema:
    """Return the Arrow schema of a batch, without some of its columns."""
    import pyarrow

    kinds = {
        "string": pyarrow.string(),
        "timestamp": pyarrow.timestamp("us", "UTC"),
        "double": pyarrow.float64(),
        "int": pyarrow.int32(),
    }
    return pyarrow.schema([(column.name, kinds[column.type]) for column in COLUMNS if column.name not in without])


def table_schema(without: Collection[str] = ()) -> TableSchema:
    """Return the columns with their descriptions, for Dagster."""
    # Workers of a cluster have no Dagster.
    from dagster import TableColumn, TableSchema

    return TableSchema(
        columns=[
            TableColumn(column.name, type=column.type, description=column.description)
            for column in COLUMNS
            if column.name not in without
        ]
    )
