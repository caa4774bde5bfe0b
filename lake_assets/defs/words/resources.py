"""The resources of the domain `words`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lake_assets import environments
from lake_assets.defs.words.settings import WordsSettings
from lake_assets.resources.kafka import KafkaResource
from lake_assets.resources.outbox import OutboxResource
from lake_assets.settings import KafkaSettings, LakeSettings


def resources(shared: Mapping[str, Any]) -> dict[str, Any]:
    """Return the outbox of published word counts."""
    return {"words_outbox": words_outbox(shared["kafka"])}


def spark_reads_kafka() -> bool:
    """Tell whether the lines of text come from a Kafka topic."""
    return WordsSettings.read().source.startswith("kafka:")


def spark_reads_s3() -> bool:
    """Tell whether the lines of text come from a bucket."""
    return WordsSettings.read().source.startswith("s3:")


def words_outbox(kafka: KafkaResource) -> OutboxResource:
    """Return the outbox of published word counts. Nothing is opened yet.

    Parameters
    ----------
    kafka
        Connection settings of Kafka.
    """
    lake = LakeSettings.read()
    return OutboxResource(
        address=words_outbox_address(),
        kafka=kafka,
        key_field="word",
        value_field="count",
        branch=lake.branch,
        on_branches=lake.branch_sinks,
    )


def words_outbox_address() -> str:
    """Return the output of published word counts: the URL of a topic, or the path of a file."""
    address = WordsSettings.read().sink
    if not address and environments.has_server():
        return f"kafka://{KafkaSettings.read().servers}/testConsumer"
    if "://" in address:
        return address
    return str(Path(address or environments.lake_home() / "words" / "testConsumer.jsonl").expanduser().absolute())
