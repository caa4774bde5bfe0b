"""The stream of words over a Kafka topic of its own, delivering to another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

from confluent_kafka import OFFSET_END, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from dagster import ExecuteInProcessResult

from lake_assets.kafka.cluster import TopicState
from lake_assets.lake.contract import MAIN
from lake_assets.outbox.contract import Update
from lake_assets_tests.defs.words.stream import Stream
from lake_assets_tests.graph_fixtures import Graph
from lake_assets_tests.kafka_broker import KafkaBroker
from lake_assets_tests.outbox.conftest import fresh_topic

NEXT = ("word_counts", "words_published", "word_counts_topic")
"""The job without the windows, where those are published already: a Spark query less."""


class TopicStream(Stream):
    """The job `words` on a fresh home, fed by a topic."""

    def __init__(
        self, broker: KafkaBroker, make_graph: Callable[..., Graph], folder: Path, partitions: int = 1, **config: str
    ) -> None:
        self.broker = broker
        self.topic = broker.fresh_topic(partitions, **config)
        self.address = f"kafka://{broker.servers}/{self.topic}"
        self._output = fresh_topic(broker)
        super().__init__(make_graph(WORDS_SOURCE=self.address, WORDS_SINK=self._output.address), folder)

    def go(self, *assets: str, **options: Any) -> ExecuteInProcessResult:
        """Execute the job, which must succeed."""
        result = self.run(*assets, **options)
        assert result.success, [event.step_failure_data for event in result.all_events if event.is_step_failure]
        return result

    def send(self, *values: str | bytes | None, partition: int = 0, at: datetime | None = None) -> None:
        """Produce a record per value, of one time, and return when they are acknowledged."""
        producer = self.broker.cluster().producer(**{"message.max.bytes": 4 << 20})
        for value in values:
            self.produce(producer, value, partition, at)
        assert producer.flush(30) == 0

    def produce(
        self, producer: Producer, value: str | bytes | None, partition: int = 0, at: datetime | None = None
    ) -> None:
        """Hand a record to a producer."""
        time = round(at.timestamp() * 1000) if at is not None else 0
        producer.produce(self.topic, value, partition=partition, timestamp=time, on_delivery=_acknowledged)

    def transaction(self) -> Producer:
        """Return a producer that has begun a transaction."""
        producer = self.broker.cluster().producer(**{"transactional.id": uuid4().hex})
        producer.init_transactions(30)
        producer.begin_transaction()
        return producer

    def state(self) -> TopicState:
        """Return the topic's id and offsets."""
        return self.broker.cluster().topic(self.topic)

    def recreate(self) -> None:
        """Delete the topic and make one of the same name."""
        self._admin.delete_topics([self.topic])[self.topic].result(30)
        self.broker.cluster().create_topic(self.topic)

    def delete_records(self, partition: int = 0, before: int = OFFSET_END) -> None:
        """Delete a partition's records up to an offset, as retention would."""
        place = TopicPartition(self.topic, partition, before)
        self._admin.delete_records([place])[place].result(30)

    def delivered(self) -> list[Update]:
        """Return what a `read_committed` consumer of the output has seen."""
        return self._output.read()

    def committed(self) -> Mapping[str, str]:
        """Return the metadata of the commit on `main` that changed the counts last."""
        found = self.graph.lake.log(MAIN, prefix="_beside/word_counts/position.json")
        return next(commit.metadata for commit in found if "stream/query" in commit.metadata)

    @cached_property
    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.broker.servers, "log_level": 0})


def _acknowledged(error: object, _: object) -> None:
    assert error is None, error
