"""Messages of a RabbitMQ stream, by offset: as with Kafka, the lake keeps the position."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit

from lake_assets.messages.contract import Batch, Message, MessagesError, Position, Reader, lost

_FIRST, _NEXT = 2.0, 0.5
"""Seconds without a message after which a stream has ended for now: before the first message, and after one."""


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
        """Read on; see :meth:`Reader.read`."""
        start = int(position.get("offsets", {}).get(self._stream, 0))
        return asyncio.run(self._read(start, limit, fail_on_loss))

    def backlog(self, position: Position) -> int:
        """Return 1 if there is a message after a position; see :meth:`Reader.backlog`."""
        return len(self.read(position, 1, fail_on_loss=False).messages)

    async def _read(self, start: int, limit: int, fail_on_loss: bool) -> Batch:
        from rstream import OffsetType

        found = await self._from(OffsetType.OFFSET, start, limit)
        if fail_on_loss and found and int(found[0].offset) > start:
            raise lost(self.name, f"the messages from {start} to {found[0].offset} are gone")
        if not found and start:
            # A stream that was deleted and created again is shorter.
            newest = await self._from(OffsetType.LAST, None, limit)
            end = int(newest[-1].offset) + 1 if newest else 0
            if end < start:
                if fail_on_loss:
                    raise lost(self.name, f"it ends at {end}, and was read up to {start}")
                return await self._read(0, limit, fail_on_loss)
        offset = int(found[-1].offset) + 1 if found else start
        return Batch(found, {"offsets": {self._stream: offset}})

    async def _from(self, kind: Any, offset: int | None, limit: int) -> list[Message]:
        from rstream import Consumer, ConsumerOffsetSpecification

        arrived: asyncio.Queue[Message] = asyncio.Queue()

        async def keep(body: Any, context: Any) -> None:
            await arrived.put(Message(self._stream, str(context.offset), _body(body)))

        # It logs each connection that fails, and the error says so, too.
        logging.getLogger("rstream").setLevel(logging.CRITICAL)
        consumer = Consumer(
            self._parts.hostname or "127.0.0.1",
            self._parts.port or 5552,
            username=unquote(self._parts.username or "guest"),
            password=unquote(self._parts.password or "guest"),
            max_retries=1,
        )
        found: list[Message] = []
        try:
            start = ConsumerOffsetSpecification(kind, offset)
            await asyncio.wait_for(consumer.start(), self._deadline)
            await asyncio.wait_for(
                consumer.subscribe(self._stream, keep, decoder=bytes, offset_specification=start), self._deadline
            )
            with suppress(asyncio.TimeoutError):
                while len(found) < limit:
                    message = await asyncio.wait_for(arrived.get(), _NEXT if found else _FIRST)
                    # A subscription begins with the chunk that holds the offset.
                    if offset is None or int(message.offset) >= offset:
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
