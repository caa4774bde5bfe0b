"""The contract of a reader of messages: a position says what was read, and is kept with the rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from typing_extensions import Self

from lake_assets.text.masking import mask

Position = Mapping[str, Any]
"""How far a source was read, as JSON: its id, and the next offset by partition. Empty at the beginning."""


class MessagesError(Exception):
    """A source cannot be read. The message names it without credentials, and the remedy."""


class MessagesLost(MessagesError):
    """The source no longer has messages that were not read, or is another one than before."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message.

    Parameters
    ----------
    partition
        The partition, shard, queue or file that it is from.
    offset
        What identifies it there, in its order: an offset, a sequence number, or a digest for queues.
    body
        Its bytes.
    """

    partition: str
    offset: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages, in order within each partition, and the position after them.

    Parameters
    ----------
    messages
        The messages.
    position
        The position after them.
    """

    messages: list[Message]
    position: Position


class Reader(ABC):
    """Reads one source. What a commit holds together with the position after it is read exactly once.

    A queue has no position. Its messages are acknowledged after they are published, so each is read at least once, and
    those who read must be idempotent.

    Parameters
    ----------
    address
        Address of the source, possibly with credentials.
    """

    exactly_once: ClassVar[bool] = True

    def __init__(self, address: str) -> None:
        self.name = mask(address)

    @abstractmethod
    def read(self, position: Position, limit: int, *, fail_on_loss: bool = True) -> Batch:
        """Read on, up to what the source holds now.

        Parameters
        ----------
        position
            The position after an earlier batch. Empty for the beginning.
        limit
            The most messages to read.
        fail_on_loss
            Whether to fail if messages are lost. Otherwise the oldest ones that are there come next.

        Raises
        ------
        MessagesLost
            Messages after the position are gone.
        MessagesError
            The source does not answer.
        """

    @abstractmethod
    def backlog(self, position: Position) -> int:
        """Return how many messages there are after a position, or 1 if it is only known that there are some.

        Parameters
        ----------
        position
            The position.
        """

    def settle(self, is_published: Callable[[Message], bool], limit: int) -> int:
        """Acknowledge messages that are published. Only queues need that. Return their number.

        Parameters
        ----------
        is_published
            Tells whether a message is published.
        limit
            The most messages to look at.
        """
        del is_published, limit
        return 0

    def close(self) -> None:
        """Close the connection."""
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def lost(name: str, what: str) -> MessagesLost:
    """Return the error about lost messages.

    Parameters
    ----------
    name
        Name of the source.
    what
        What is lost.
    """
    return MessagesLost(f"{name}: {what}. To go on without them, run it with `fail_on_data_loss: false`")
