"""The address of a topic: servers and name in one URL."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lake_assets.text.masking import mask

_EXAMPLE = "kafka://127.0.0.1:9092/test"
_SERVER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+):(\d{1,5})", re.ASCII)
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


@dataclass(frozen=True, slots=True)
class TopicAddress:
    """A topic and its bootstrap servers, written as ``kafka://host:port[,host:port]/topic``.

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
        """Parse a URL.

        Parameters
        ----------
        url
            The URL.

        Raises
        ------
        ValueError
            It is not a valid address. The message shows an example.
        """

        def wrong(what: str) -> ValueError:
            return ValueError(mask(f"{url!r} is not the address of a topic: {what}; an example is {_EXAMPLE}"))

        scheme, separator, rest = url.partition("://")
        if "@" in url:
            # The message leaves out the URL, which contains a secret.
            raise ValueError(
                "the address of a topic cannot contain credentials: set KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"
            )
        if scheme != "kafka" or not separator:
            raise wrong("it does not begin with kafka://")
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
    """Return why a name is not valid for a topic. None if it is valid."""
    if not name:
        return "the topic's name is missing"
    if name in {".", ".."} or _TOPIC.fullmatch(name) is None:
        return f"{name!r} is not a valid topic name: use up to 249 ASCII letters, digits, '.', '_' and '-'"
    return None
