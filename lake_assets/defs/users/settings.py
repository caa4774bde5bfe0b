"""The settings of the domain `users`."""

from __future__ import annotations

from pydantic import Field

from lake_assets.settings import Settings


class UsersSettings(Settings):
    """The source of users."""

    source: str = Field(
        "generated",
        validation_alias="USERS_SOURCE",
        description=(
            "Where users come from: generated, or Parquet files in a folder, at an http(s) or s3 URL, or at a URL "
            "template with {batch}."
        ),
    )
