"""The settings of the domain `ticks`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from lake_assets.settings import Address, Settings


class TicksSettings(Settings):
    """The stream of ticks."""

    source: SecretStr = Field(
        SecretStr(""),
        validation_alias="TICKS_SOURCE",
        description=(
            "Where ticks come from: kafka://SERVERS/TOPIC, rabbitmq-stream://USER:PASSWORD@HOST/STREAM, "
            "amqp://USER:PASSWORD@HOST/QUEUE, kinesis://STREAM, or a folder of lines; one in LAKE_HOME if empty."
        ),
    )
    format: Literal["json", "avro"] = Field(
        "json", validation_alias="TICKS_FORMAT", description="How a tick is encoded. Lines of a folder are json."
    )
    kinesis_endpoint: Address = Field(
        "",
        validation_alias="TICKS_KINESIS_ENDPOINT",
        description="Address of another server than AWS for kinesis://; AWS if empty.",
    )
    per_run: int = Field(
        200_000,
        validation_alias="TICKS_PER_RUN",
        ge=1,
        le=10_000_000,
        description="The most messages that a run reads. They are in memory.",
    )
