"""Messages of a Kafka topic: of committed transactions only, by offset."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, TopicPartition

from lake_assets.kafka.errors import KafkaFailure
from lake_assets.messages.contract import Batch, Message, MessagesError, Position, Reader, lost

if TYPE_CHECKING:
    from lake_assets.kafka.cluster import KafkaCluster, TopicState


class KafkaReader(Reader):
    """Reads a topic without a consumer group: the lake keeps the offsets.

    Parameters
    ----------
    cluster
        The cluster.
    topic
        Name of the topic.
    """

    def __init__(self, cluster: KafkaCluster, topic: str) -> None:
        super().__init__(f"kafka://{cluster.servers}/{topic}")
        self._cluster = cluster
        self._topic = topic

    def read(self, position: Position, limit: int, *, fail_on_loss: bool = True) -> Batch:
        """Read on; see :meth:`Reader.read`."""
        try:
            state = self._cluster.topic(self._topic)
            return self._read(state, self._starts(state, position, fail_on_loss), limit)
        except KafkaFailure as error:
            raise MessagesError(str(error)) from error

    def backlog(self, position: Position) -> int:
        """Return the number of offsets after a position; see :meth:`Reader.backlog`."""
        try:
            state = self._cluster.topic(self._topic)
        except KafkaFailure as error:
            raise MessagesError(str(error)) from error
        starts = self._starts(state, position, fail_on_loss=False)
        return sum(max(0, state.latest[partition] - start) for partition, start in starts.items())

    def _starts(self, state: TopicState, position: Position, fail_on_loss: bool) -> dict[int, int]:
        """Return the next offset of each partition."""
        known: Mapping[str, int] = position.get("offsets", {})
        if known and position.get("id") != state.id:
            if fail_on_loss:
                raise lost(self.name, f"the topic was deleted and created again (its id is {state.id})")
            known = {}
        starts: dict[int, int] = {}
        for partition, earliest in state.earliest.items():
            latest, start = state.latest[partition], known.get(str(partition), earliest)
            if start < earliest and fail_on_loss:
                raise lost(self.name, f"the messages from {start} to {earliest} of partition {partition} are gone")
            if start > latest and fail_on_loss:
                raise lost(self.name, f"partition {partition} ends at {latest}, and was read up to {start}")
            starts[partition] = start if earliest <= start <= latest else earliest
        return starts

    def _read(self, state: TopicState, starts: Mapping[int, int], limit: int) -> Batch:
        offsets = dict(starts)
        open_ = {partition for partition, start in starts.items() if start < state.latest[partition]}
        messages: list[Message] = []
        consumer = self._cluster.consumer(**{"enable.partition.eof": True, "auto.offset.reset": "error"})
        try:
            consumer.assign([TopicPartition(self._topic, partition, starts[partition]) for partition in open_])
            end = time.monotonic() + self._cluster.deadline
            while open_ and len(messages) < limit:
                for found in consumer.consume(min(limit - len(messages), 1000), 0.2):
                    partition, error = found.partition() or 0, found.error()
                    if error is not None:
                        # The end for a reader of committed records, which may be before an open transaction.
                        if error.code() != KafkaError._PARTITION_EOF:
                            raise MessagesError(f"{self.name}: {error.str()}")
                        offsets[partition] = max(offsets[partition], found.offset() or 0)
                        open_.discard(partition)
                        continue
                    end = time.monotonic() + self._cluster.deadline
                    offset = found.offset() or 0
                    if offset >= state.latest[partition]:
                        open_.discard(partition)
                        continue
                    messages.append(Message(str(partition), str(offset), found.value() or b""))
                    offsets[partition] = offset + 1
                    if offset + 1 >= state.latest[partition]:
                        open_.discard(partition)
                if time.monotonic() > end:
                    self._cluster.check(self._topic)
                    raise MessagesError(f"{self.name}: nothing came within {self._cluster.deadline:g} s: try again")
        finally:
            consumer.close()
        return Batch(messages, {"id": state.id, "offsets": {str(key): value for key, value in offsets.items()}})
