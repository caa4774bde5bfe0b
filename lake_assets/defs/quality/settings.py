"""The settings of the domain `quality`."""

from __future__ import annotations

from pydantic import Field

from lake_assets.settings import Settings


class QualitySettings(Settings):
    """A file of a user's own, as an asset with a profile and checks."""

    files: str = Field(
        "",
        validation_alias="QUALITY_FILES",
        description=(
            "Where the rows of `measurements` are: a file, a folder, a pattern such as data/*.csv, or the address of "
            "a file (http(s) or s3), of Parquet, ORC, CSV or JSON lines. Empty for a sample."
        ),
    )
    constraints: str = Field(
        "",
        validation_alias="QUALITY_CONSTRAINTS",
        description="A YAML file with what these rows must be. Empty for none.",
    )
