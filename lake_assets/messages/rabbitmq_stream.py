"""Messages of a RabbitMQ stream, by offset: as with Kafka, the lake keeps the position."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from lake_assets.messages.contract import Batch, Message, MessagesError, Position, Reader, lost

_LAST = "last"
"""Where a position has what identifies the last message."""

_PAUSE = 0.5
"""Seconds for what has arrived to be taken. The end is where the server answers, and sent no message before it."""


@dataclass(frozen=True, slots=True)
class _Found:
    offset: int
    timestamp: int
    body: bytes

    @property
    def identity(self) -> str:
        """The time at which the server stored the message, and its digest."""
        return f"{self.timestamp} {hashlib.sha256(self.body).hexdigest()[:16]}"


class RabbitMQStreamReader(Reader):
    """Reads a stream by RabbitMQ's stream protocol.

    Parameters
    ----------
    address
        ``rabbitmq-stream://USER:PASSWORD@HOST:PORT/STREAM``.
    deadline
        Seconds for the connection.
    """

    def __init__(self, address: str, deadline: float = 30.0) -> None:
        super().__init__(address)
        self._parts = urlsplit(address)
        self._stream = unquote(self._parts.path.removeprefix("/"))
        self._deadline = deadline

    def read(self, position: Position, limit: int, *, fail_on_loss: bool = True) -> Batch:
        """Read on; see :meth:`Reader.read`.

        The position has what identifies the last message that was read. It is read again, since RabbitMQ does not tell
        a stream that was deleted and created again from the one before. Offsets may have gaps. What was removed before
        the first read was nobody's to read.
        """
        return asyncio.run(self._read(position, limit, fail_on_loss))

    def backlog(self, position: Position) -> int:
        """Return 1 if there is a message after a position; see :meth:`Reader.backlog`."""
        return len(self.read(position, 1, fail_on_loss=False).messages)

    async def _read(self, position: Position, limit: int, fail_on_loss: bool) -> Batch:
        from rstream import OffsetType

        start = int(position.get("offsets", {}).get(self._stream, 0))
        last: str | None = position.get(_LAST)
        known = int(last is not None)
        found = await self._from(OffsetType.OFFSET, start - known, limit + known)
        problem, first = "", found[0].offset if found else start
        if not found and start:
            newest = await self._from(OffsetType.LAST, None, limit)
            end = newest[-1].offset + 1 if newest else 0
            # A stream that was deleted and created again is shorter.
            problem = f"it ends at {end}, and was read up to {start}" if end < start else ""
        elif found and known and first == start - 1:
            last_again = found.pop(0)
            if last_again.identity != last:
                problem = f"it was deleted and created again: its message {first} is another one than the one read"
        elif position and first > start and fail_on_loss:
            raise lost(self.name, f"the messages from {start} to {first} are gone")
        if problem and fail_on_loss:
            raise lost(self.name, problem)
        if problem:
            return await self._read({}, limit, fail_on_loss)
        if not found:
            return Batch([], position or {"offsets": {self._stream: start}})
        # One more than was asked for, where the last message of before is gone.
        found = found[:limit]
        messages = [Message(self._stream, str(one.offset), one.body) for one in found]
        return Batch(messages, {"offsets": {self._stream: found[-1].offset + 1}, _LAST: found[-1].identity})

    async def _from(self, kind: Any, offset: int | None, limit: int) -> list[_Found]:
        """Return the messages from an offset on, up to what the stream holds now."""
        from rstream import Consumer, ConsumerOffsetSpecification

        arrived: asyncio.Queue[_Found] = asyncio.Queue()

        async def keep(body: Any, context: Any) -> None:
            await arrived.put(_Found(context.offset, context.timestamp, _body(body)))

        # It logs each connection that fails, and the error says so, too.
        logging.getLogger("rstream").setLevel(logging.CRITICAL)
        consumer: Any = Consumer(
            self._parts.hostname or "127.0.0.1",
            self._parts.port or 5552,
            username=unquote(self._parts.username or "guest"),
            password=unquote(self._parts.password or "guest"),
            max_retries=1,
        )
        found: list[_Found] = []
        try:
            start = ConsumerOffsetSpecification(kind, offset)
            await asyncio.wait_for(consumer.start(), self._deadline)
            await asyncio.wait_for(
                consumer.subscribe(self._stream, keep, decoder=bytes, offset_specification=start), self._deadline
            )
            # The client of the subscription: RabbitMQ answers after it has sent what was asked for before.
            client = consumer._clients[self._stream]
            while len(found) < limit:
                if arrived.empty():
                    await asyncio.wait_for(client.stream_exists(self._stream), self._deadline)
                try:
                    message = await asyncio.wait_for(arrived.get(), _PAUSE)
                except asyncio.TimeoutError:
                    break
                # A subscription begins with the chunk that holds the offset.
                if offset is None or message.offset >= offset:
                    found.append(message)
        except Exception as error:  # Those of rstream, asyncio and the socket have no base class in common.
            raise MessagesError(f"{self.name}: {type(error).__name__}: {' '.join(str(error).split())}") from error
        finally:
            with suppress(Exception):
                await consumer.close()
        return found


def _body(encoded: bytes) -> bytes:
    """Return the body of a message in AMQP 1.0, or the message itself if it is in no such frame."""
    from rstream import amqp_decoder

    try:
        body = amqp_decoder(encoded).body
    except Exception:  # noqa: BLE001 -- it has no base class for what is no AMQP
        return encoded
    return body if isinstance(body, bytes) else encoded
