"""Messages of a RabbitMQ queue: acknowledged after they are published, so at least once."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import unquote, urlsplit

from lake_assets.messages.contract import Batch, Message, MessagesError, Position, Reader

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel


class RabbitMQQueueReader(Reader):
    """Reads a classic or quorum queue. What is read stays in it until :meth:`settle`.

    Parameters
    ----------
    address
        ``amqp://USER:PASSWORD@HOST:PORT/QUEUE``.
    deadline
        Seconds for the connection.
    """

    exactly_once: ClassVar[bool] = False

    def __init__(self, address: str, deadline: float = 30.0) -> None:
        super().__init__(address)
        self._parts = urlsplit(address)
        self._queue = unquote(self._parts.path.removeprefix("/"))
        self._deadline = deadline

    def read(self, position: Position, limit: int, *, fail_on_loss: bool = True) -> Batch:
        """Return the messages of the queue, which go back to it; see :meth:`Reader.read`."""
        del position, fail_on_loss
        digest = hashlib.sha256()
        found: list[Message] = []
        with self._channel() as channel:
            while len(found) < limit and (message := self._next(channel)) is not None:
                found.append(message[1])
                digest.update(message[1].offset.encode())
        return Batch(found, {"read": digest.hexdigest() if found else ""})

    def backlog(self, position: Position) -> int:
        """Return the number of messages in the queue; see :meth:`Reader.backlog`."""
        with self._channel() as channel:
            declared: Any = channel.queue_declare(self._queue, passive=True)
            return int(declared.method.message_count)

    def settle(self, is_published: Callable[[Message], bool], limit: int) -> int:
        """Acknowledge what is published; see :meth:`Reader.settle`. The rest goes back to the queue."""
        number = 0
        with self._channel() as channel:
            for _ in range(limit):
                message = self._next(channel)
                if message is None:
                    break
                tag, found = message
                if is_published(found):
                    channel.basic_ack(tag)
                    number += 1
        return number

    def _next(self, channel: BlockingChannel) -> tuple[int, Message] | None:
        got: Any = channel.basic_get(self._queue)
        method, properties, body = got
        if method is None:
            return None
        identity = str(properties.message_id or hashlib.sha256(body).hexdigest()[:32])
        return method.delivery_tag, Message(self._queue, identity, body)

    @contextmanager
    def _channel(self) -> Generator[BlockingChannel]:
        import pika
        from pika.exceptions import AMQPError

        # It logs each attempt, and the error says so, too.
        logging.getLogger("pika").setLevel(logging.CRITICAL)
        user, password = (unquote(part or "guest") for part in (self._parts.username, self._parts.password))
        parameters = pika.ConnectionParameters(
            self._parts.hostname or "127.0.0.1",
            self._parts.port or 5672,
            credentials=pika.PlainCredentials(user, password),
            blocked_connection_timeout=self._deadline,
            socket_timeout=self._deadline,
        )
        try:
            connection = pika.BlockingConnection(parameters)
            try:
                yield connection.channel()
            finally:
                # What was not acknowledged goes back to the queue, in its order.
                if connection.is_open:
                    connection.close()
        except (AMQPError, OSError) as error:
            told = " ".join(str(part) for part in (type(error).__name__, error) if str(part))
            raise MessagesError(f"{self.name}: {told}") from error
