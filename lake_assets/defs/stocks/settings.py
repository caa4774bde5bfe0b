"""The settings of the domain `stocks`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lake_assets.settings import Settings


class StocksSettings(Settings):
    """Where stock files come from, and how they are processed."""

    source: str = Field(
        "generated",
        validation_alias="STOCKS_SOURCE",
        description=(
            "Where stock files come from: generated, a folder, an http(s) or s3 URL, or a template with {date}, {hour}."
        ),
    )
    rows: int = Field(
        7500,
        validation_alias="STOCKS_ROWS",
        ge=0,
        le=10**9,
        description="Rows of a generated file in a trading hour.",
    )
    max_quarantined: float = Field(
        0.05,
        validation_alias="STOCKS_MAX_QUARANTINED",
        ge=0,
        le=1,
        description="Share of a file's rows that may be quarantined before publishing is blocked.",
    )
    partitions_per_run: Literal["all"] | Annotated[int, Field(ge=1, le=100_000)] = Field(
        1,
        validation_alias="STOCKS_PARTITIONS_PER_RUN",
        description="Hours processed by one run of an asset backfill; all for a single run.",
    )
    probe_hours: int = Field(
        24,
        validation_alias="STOCKS_PROBE_HOURS",
        ge=1,
        le=24 * 31,
        description="Number of past hours that the sensor probes if the source cannot be listed.",
    )
