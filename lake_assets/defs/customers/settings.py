"""The settings of the domain `customers`."""

from __future__ import annotations

from pydantic import Field, SecretStr

from lake_assets.settings import Settings


class CustomersSettings(Settings):
    """The database of customers."""

    database: SecretStr = Field(
        SecretStr(""),
        validation_alias="CUSTOMERS_DATABASE",
        description=(
            "Address of the database, such as postgresql://USER:PASSWORD@HOST/DATABASE; a sample of SQLite if empty."
        ),
    )
    table: str = Field(
        "customers",
        validation_alias="CUSTOMERS_TABLE",
        min_length=1,
        description="Table of customers, with the columns id and updated_at.",
    )
    overlap_minutes: float = Field(
        60,
        validation_alias="CUSTOMERS_OVERLAP_MINUTES",
        ge=0,
        le=525_600,
        description="How much of the past a run reads again; longer than any transaction of the database.",
    )
    full_hours: float = Field(
        24,
        validation_alias="CUSTOMERS_FULL_HOURS",
        ge=0,
        le=8760,
        description="How often the sensor requests a read of all rows, which finds deleted ones; 0 for never.",
    )
