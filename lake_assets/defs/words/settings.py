"""Settings of words."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from lake_assets.settings import Settings

_YEAR = 366 * 86_400


class WordsSettings(Settings):
    """Where lines of text come from, how their words are counted, and where the counts go."""

    source: str = Field(
        "",
        validation_alias="WORDS_SOURCE",
        description="Where lines of text come from: kafka://host:port/topic, or a folder; a small sample if empty.",
    )
    csv: bool = Field(
        False, validation_alias="WORDS_CSV", description="Whether word counts are kept as CSV, too: true or false."
    )
    state_store: Literal["hdfs", "rocksdb"] = Field(
        "hdfs",
        validation_alias="WORDS_STATE_STORE",
        description="State of new word counts: hdfs (in Spark's memory, kept in files) or rocksdb.",
    )
    window: int = Field(
        60,
        validation_alias="WORDS_WINDOW",
        ge=1,
        le=_YEAR,
        description="Seconds of a window of word_counts_windowed.",
    )
    slide: int | None = Field(
        None,
        validation_alias="WORDS_SLIDE",
        ge=1,
        le=_YEAR,
        description="Seconds from one window's beginning to the next's, at most WORDS_WINDOW; WORDS_WINDOW if empty.",
    )
    watermark: int = Field(
        600,
        validation_alias="WORDS_WATERMARK",
        ge=0,
        le=_YEAR,
        description="Seconds that a line may be behind the newest and still count.",
    )
    lag_lines: int = Field(
        1,
        validation_alias="WORDS_LAG_LINES",
        ge=1,
        le=10**12,
        description="Unread lines of a topic, or files of a folder, for which a sensor requests a run at once.",
    )
    lag_seconds: float = Field(
        10,
        validation_alias="WORDS_LAG_SECONDS",
        ge=0,
        le=_YEAR,
        description="Age in seconds of the oldest unread line, or file, for which it requests one, too.",
    )
    sink: str = Field(
        "",
        validation_alias="WORDS_SINK",
        description=(
            "Where published word counts are delivered: kafka://host:port/topic, or a file; the environment's if empty."
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
