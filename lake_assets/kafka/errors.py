"""What can go wrong with Kafka: one family, each error naming the servers, the topic and what to do."""

from __future__ import annotations


class KafkaFailure(Exception):
    """A call of Kafka failed; the subclasses say how.

    Parameters
    ----------
    description
        What happened and what to do about it.
    servers
        The servers asked.
    topic
        The topic it was about; empty where about none.
    """

    def __init__(self, description: str, servers: str, topic: str = "") -> None:
        place = f"Kafka {servers!r}" + (f", topic {topic!r}" if topic else "")
        super().__init__(f"{description} ({place})")
        self.servers = servers
        self.topic = topic


class KafkaUnavailable(KafkaFailure):
    """The servers do not answer in time; trying again later may help."""


class KafkaDenied(KafkaFailure):
    """The servers do not accept who we are, or do not let us do this."""


class TopicMissing(KafkaFailure):
    """There is no such topic, or no such partition of it."""


class TopicExists(KafkaFailure):
    """A topic of that name is there already."""


class RecordRefused(KafkaFailure):
    """A record cannot be stored, however often it is sent: it is larger than client or broker allow, say."""
