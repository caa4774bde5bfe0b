"""Run configuration of the streaming assets."""

# No postponed annotations here: Dagster reads those of Config fields when the class is made.

from dagster import Config
from pydantic import Field


class StreamConfig(Config):
    """Options of a run that reads a stream."""

    source: str = Field(
        default="", description="kafka://host:port/topic, s3://bucket/prefix or a folder; WORDS_SOURCE if empty"
    )
    fail_on_data_loss: bool = Field(
        default=True, description="Fail if the source has lost lines; otherwise report them and continue"
    )
    reset_checkpoint: bool = Field(
        default=False, description="Start over: drop checkpoint and counts, and read the source from its beginning"
    )
