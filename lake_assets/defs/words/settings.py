"""The settings of the domain `words`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from lake_assets.settings import Address, Settings

_YEAR = 366 * 86_400


LONGEST = 4 << 20
"""Default of the longest line in bytes."""


class WordsSettings(Settings):
    """Where lines of text come from, how their words are counted, and where the counts go."""

    source: str = Field(
        "",
        validation_alias="WORDS_SOURCE",
        description=(
            "Where lines of text come from: kafka://host:port/topic, s3://bucket/prefix, or a folder; a small sample "
            "if empty."
        ),
    )
    line_bytes: int = Field(
        LONGEST,
        validation_alias="WORDS_LINE_BYTES",
        ge=1,
        le=256 << 20,
        description="Longest line in bytes that is counted. Longer ones are passed over, and reported.",
    )
    csv: bool = Field(
        False, validation_alias="WORDS_CSV", description="Whether word counts are also stored as CSV: true or false."
    )
    state_store: Literal["hdfs", "rocksdb"] = Field(
        "hdfs",
        validation_alias="WORDS_STATE_STORE",
        description="State store of new word counts: hdfs (in Spark's memory, saved to files) or rocksdb.",
    )
    window: int = Field(
        60,
        validation_alias="WORDS_WINDOW",
        ge=1,
        le=_YEAR,
        description="Length in seconds of the windows of word_counts_windowed.",
    )
    slide: int | None = Field(
        None,
        validation_alias="WORDS_SLIDE",
        ge=1,
        le=_YEAR,
        description="Seconds between the starts of two windows, at most WORDS_WINDOW; WORDS_WINDOW if empty.",
    )
    watermark: int = Field(
        600,
        validation_alias="WORDS_WATERMARK",
        ge=0,
        le=_YEAR,
        description="Seconds by which a line may be older than the newest one and still be counted.",
    )
    lag_lines: int = Field(
        1,
        validation_alias="WORDS_LAG_LINES",
        ge=1,
        le=10**12,
        description="Unread lines of a topic, or files of a folder, at which a sensor requests a run at once.",
    )
    lag_seconds: float = Field(
        10,
        validation_alias="WORDS_LAG_SECONDS",
        ge=0,
        le=_YEAR,
        description="Age in seconds of the oldest unread line or file at which a sensor requests a run.",
    )
    sink: Address = Field(
        "",
        validation_alias="WORDS_SINK",
        description=(
            "Output for published word counts: kafka://host:port/topic, or a file; the environment's if empty."
        ),
    )

    @field_validator("slide")
    @classmethod
    def _windows_leave_no_gap(cls, slide: int | None, info: ValidationInfo) -> int | None:
        # The window is missing here when it is wrong itself.
        window = info.data.get("window", _YEAR)
        if slide is not None and slide > window:
            raise ValueError(f"a whole number from 1 to {window}, which is WORDS_WINDOW")
        return slide
