"""Kafka's errors. Each names the servers, the topic and the remedy."""

from __future__ import annotations

from lake_assets.text.masking import mask


class KafkaFailure(Exception):
    """A call to Kafka failed.

    Parameters
    ----------
    description
        What happened, and what to do about it.
    servers
        The servers.
    topic
        The topic. Empty if the call was not about a topic.
    """

    def __init__(self, description: str, servers: str, topic: str = "") -> None:
        place = f"Kafka {servers!r}" + (f", topic {topic!r}" if topic else "")
        super().__init__(mask(f"{description} ({place})"))
        self.servers = servers
        self.topic = topic


class KafkaUnavailable(KafkaFailure):
    """The servers do not answer in time. Trying again later may help."""


class KafkaDenied(KafkaFailure):
    """The servers reject the credentials, or deny this operation."""


class TopicMissing(KafkaFailure):
    """There is no such topic or partition."""


class TopicExists(KafkaFailure):
    """A topic of that name already exists."""


class RecordRefused(KafkaFailure):
    """A record can never be stored, for example because it is too large."""
