"""How the contract suite opens an outbox, here and in other processes, and reads what it delivered."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lake_assets.kafka import Security, TopicAddress
from lake_assets.outbox.contract import Outbox, Update
from lake_assets.outbox.lines import LinesOutbox, read_committed
from lake_assets.outbox.records import Fields, key_bytes

REPOSITORY = "a lake"

COUNTS = Fields("word", "count")
"""As the word counts are delivered."""


@dataclass(frozen=True)
class OutboxSpec:
    """What opens one outbox in any process: its address."""

    address: str
    fields: Fields = COUNTS

    @property
    def is_kafka(self) -> bool:
        return "://" in self.address

    def open(self, deadline: float = 30.0) -> Outbox:
        if not self.is_kafka:
            return LinesOutbox(Path(self.address), REPOSITORY, deadline, self.fields)
        from lake_assets.kafka.cluster import KafkaCluster
        from lake_assets.outbox.kafka import KafkaOutbox

        where = TopicAddress.parse(self.address)
        cluster = KafkaCluster(where.servers, Security(), deadline)
        return KafkaOutbox(cluster, where.topic, REPOSITORY, self.fields)

    def read(self) -> list[Update]:
        """Return what a reader of committed updates sees, oldest first."""
        if self.is_kafka:
            return list(read_topic(self.address, self.fields))
        return list(read_committed(Path(self.address), self.fields))


def read_topic(address: str, fields: Fields = COUNTS) -> Iterator[Update]:
    """Yield the committed updates of a topic of one partition."""
    from confluent_kafka import OFFSET_BEGINNING, KafkaError, TopicPartition

    from lake_assets.kafka.cluster import KafkaCluster

    where = TopicAddress.parse(address)
    consumer = KafkaCluster(where.servers, Security()).consumer(
        **{"enable.partition.eof": True, "fetch.wait.max.ms": 10}
    )
    try:
        consumer.assign([TopicPartition(where.topic, 0, OFFSET_BEGINNING)])
        while (message := consumer.poll(30)) is not None:
            error = message.error()
            if error is not None:
                assert error.code() == KafkaError._PARTITION_EOF, error
                return
            key, value = message.key() or b"", message.value()
            # Of a key that is gone the record says no more than its text.
            update = Update(key.decode(), None) if value is None else fields.decode(value)
            assert key_bytes(update.key) == key
            yield update
        raise TimeoutError(f"{address} does not answer")
    finally:
        consumer.close()


def numbered(count: int, start: int = 0) -> Iterator[Update]:
    return (Update(f"word{at}", at) for at in range(start, start + count))


def die() -> None:
    """End this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def dying_after(updates: Iterable[Update]) -> Iterator[Update]:
    yield from updates
    die()


def deliver_and_die(spec: OutboxSpec, commit: str, count: int, point: str) -> None:
    """Deliver a commit of so many updates, and be killed at one point of it."""
    with spec.open().sender() as sender:
        if point == "before the transaction":
            die()
        updates: Iterable[Update] = numbered(count)
        if point == "in the middle of it":
            updates = dying_after(updates)
        if point == "when all is sent but the commit":
            _arm(spec)
        sender.deliver(commit, updates)
        die()


POINTS = {
    "before the transaction": False,
    "in the middle of it": False,
    "when all is sent but the commit": False,
    "after the commit": True,
}
"""Where a sender is killed, and whether its commit counts as delivered then."""


def _arm(spec: OutboxSpec) -> None:
    """Make this process die where the commit would be next, with all updates synced or acknowledged."""
    owner: Any
    if spec.is_kafka:
        from lake_assets.outbox.kafka import KafkaSender

        owner, name = KafkaSender, "_flush"
        flush: Callable[[KafkaSender], None] = KafkaSender._flush

        def deadly(self: KafkaSender) -> None:
            flush(self)
            die()

        setattr(owner, name, deadly)
    else:
        from lake_assets.outbox import lines

        owner = lines
        owner._replace = lambda *_: die()


def deliver_for_ever(spec: OutboxSpec, count: int) -> None:
    """Deliver commits 1, 2, 3 … from where the outbox is, each of so many updates."""
    with spec.open().sender() as sender:
        number = int(sender.delivered or 0)
        while True:
            number += 1
            sender.deliver(str(number), numbered(count, number * count))
