"""Kafka: addresses and state of topics, configured clients, and options for Spark."""

from lake_assets.kafka.address import TopicAddress
from lake_assets.kafka.errors import (
    KafkaDenied,
    KafkaFailure,
    KafkaUnavailable,
    RecordRefused,
    TopicExists,
    TopicMissing,
)
from lake_assets.kafka.security import Security

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
