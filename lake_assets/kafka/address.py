"""Where a topic is: servers and name, as one URL."""

from __future__ import annotations

import re
from dataclasses import dataclass

_EXAMPLE = "kafka://127.0.0.1:9092/test"
_SERVER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+):(\d{1,5})", re.ASCII)
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


@dataclass(frozen=True, slots=True)
class TopicAddress:
    """A topic and the servers to ask for it; as text, ``kafka://host:port[,host:port]/topic``.

    Parameters
    ----------
    servers
        Bootstrap servers, such as ``127.0.0.1:9092`` or ``a:9092,b:9092``.
    topic
        Name of the topic.
    """

    servers: str
    topic: str

    @classmethod
    def parse(cls, url: str) -> TopicAddress:
        """Return the address that a URL names.

        Raises
        ------
        ValueError
            It is none; the message says what is wrong and shows one that is right.
        """

        def wrong(what: str) -> ValueError:
            return ValueError(f"{url!r} is no address of a topic: {what}; such as {_EXAMPLE}")

        scheme, separator, rest = url.partition("://")
        if scheme != "kafka" or not separator:
            raise wrong("it does not begin with kafka://")
        if "@" in rest:
            # Said without the URL, which holds a secret.
            raise ValueError(
                "an address of a topic takes no user or password: set KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"
            )
        servers, _, topic = rest.partition("/")
        for server in servers.split(","):
            found = _SERVER.fullmatch(server)
            if found is None or not 0 < int(found[2]) < 65536:
                raise wrong(f"{server!r} is not host:port")
        if reason := topic_name_problem(topic):
            raise wrong(reason)
        return cls(servers, topic)

    def __str__(self) -> str:
        return f"kafka://{self.servers}/{self.topic}"


def topic_name_problem(name: str) -> str | None:
    """Return why Kafka would not take a topic's name; None where it would."""
    if not name:
        return "the topic's name is missing"
    if name in {".", ".."} or _TOPIC.fullmatch(name) is None:
        return f"{name!r} is no name of a topic: up to 249 ASCII letters, digits, '.', '_' and '-'"
    return None
