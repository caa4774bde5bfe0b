"""Kafka: addresses and state of topics, clients with the security settings in them, Spark's options."""

from lake_assets.resources.kafka.address import TopicAddress
from lake_assets.resources.kafka.errors import (
    KafkaDenied,
    KafkaFailure,
    KafkaUnavailable,
    RecordRefused,
    TopicExists,
    TopicMissing,
)
from lake_assets.resources.kafka.security import Security

__all__ = [
    "KafkaDenied",
    "KafkaFailure",
    "KafkaUnavailable",
    "RecordRefused",
    "Security",
    "TopicAddress",
    "TopicExists",
    "TopicMissing",
]
