"""The settings of the domain `quality`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from lake_assets.quality.constraints import of_yaml
from lake_assets.settings import Settings


def _file_of_constraints(path: str) -> str:
    try:
        if path:
            of_yaml(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"a YAML file of constraints: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"a YAML file of constraints: {error}") from error
    return path


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
    constraints: Annotated[str, AfterValidator(_file_of_constraints)] = Field(
        "",
        validation_alias="QUALITY_CONSTRAINTS",
        description="A YAML file with what these rows must be. Empty for none.",
    )
